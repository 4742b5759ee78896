"""Orchestra: an expert council for coding assistants.

Start with `orchestra_mcp.types` (the nouns), then `orchestra_mcp.app` (the one `ask` behind every door).
"""

__version__ = "0.1.0"
