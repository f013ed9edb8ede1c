"""Top floor: the `sipf` command line. One module a command; no method logic lives here."""
