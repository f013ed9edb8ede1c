"""Files of lines: how they are read, written whole or not at all, locked, described and resumed. Knows no stage."""
