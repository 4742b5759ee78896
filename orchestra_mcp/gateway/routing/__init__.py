"""Names, rules and the order in which models are asked.

`router.Router` settles the way of a request, `routed.Routed` is the layer that does it for every call. What the order
goes by: `facts` (prices, windows, abilities), `stats` (speed, failures, load), `quality` (how often a model is right).
"""
