"""`python -m sipf_cli` is `sipf`."""

from sipf_cli.main import main

if __name__ == "__main__":
    main()
