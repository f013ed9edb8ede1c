"""Files of lines: how they are read, locked, described, resumed, and written whole or not at all. Knows no stage."""
