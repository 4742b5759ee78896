"""The MCP door: what an assistant can call, and how it is served.

`server` is the table of tools and the factory; `consulting` and `records` hold the tools, `prompts` the slash
commands; `door` keeps a long call alive and puts errors in words; `host` opens Orchestra when it is first
needed; `stdio` and `http` are the two ways in, `entry` the command line of `orchestra-mcp`.
"""
