"""Ground floor for code: what a program must do, and the checker that finds out without trusting it."""
