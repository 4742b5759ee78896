"""Git, asked read-only and safely: changes, history, submodules."""
