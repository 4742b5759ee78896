"""Trying things away from the user's files: programs on inputs, patches on a copy of the working tree.

`workbench` is the door. `sandbox` starts children and ends them; `confinement`, `namespaces`, `harness`, `probing` and
`launcher` run inside of them and use the standard library only. `patches` reads and applies diffs, `tree` copies,
`removal` removes, `verifying` runs the user's command, `deciding` keeps patches from judging themselves, `forms` knows
when two programs are the same text.
"""
