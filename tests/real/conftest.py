"""The command line in this process, as for the tests of the commands."""

from tests.sipf_cli.conftest import inside

__all__ = ["inside"]
