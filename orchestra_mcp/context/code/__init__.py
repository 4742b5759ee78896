"""Source files as syntax trees: definitions, calls, imports, parameters, changed signatures."""
