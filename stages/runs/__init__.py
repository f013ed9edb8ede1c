"""How a stage runs over a file of problems: they are admitted, journalled, resumed and put in order."""
