"""How a stage runs over a file of problems: admitted, journalled, resumed, put in order."""
