"""Middle floor: one module a stage of the loop, the engines that write text, and how files are read and resumed."""
