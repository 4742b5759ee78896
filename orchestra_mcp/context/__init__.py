"""From a project and a question to a dossier that fits: what a colleague would look at, and nothing secret.

`project` finds the root and guards it, `git` asks git without running what the repository configured, `diffs` and
`traces` read what was attached, `symbols` and `ranking` find the code that matters, `redaction` takes secrets out,
`packing` cuts to the budget, `evidence` is the council's eyes and `collector` tells the whole story in one function.
"""
