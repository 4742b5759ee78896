"""What can be watched from outside: spans of a consultation, their names by convention, and the way to OpenTelemetry.

`spans.py` is all that the rooms of the house see: `span(…)` around a piece of work. Where nobody watches, it costs a
look at one variable.
"""
