"""How the store behaves when it is large, when many processes write at once, and when they are killed.

`python benchmarks/store.py [--processes 8] [--consultations 50] [--searched 100000] [--kills 200]` prints

- for many processes at once: errors, consultations that are lost or not whole, writes per second, CPU milliseconds for
  each consultation (begin, dossier, five opinions and two ballots with their calls, what was watched, finish: eleven
  transactions; then the 22 of a council of five with two analysts and five ballots as the application writes them, with
  what is watched beside) and the waits of a single write;
- for sudden death: how many acknowledged writes are missing after `kill -9` at random moments, and what
  `PRAGMA integrity_check` and FTS5's own check say;
- for search: milliseconds by kind of query among many consultations, and how long it takes to forget a project.

The files are on the disk of the temporary directory (`TMPDIR`). 0 leaves a part out.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import anyio
import store_search
import store_writing


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--consultations", type=int, default=50, help="for each process")
    parser.add_argument("--searched", type=int, default=100_000, help="consultations to search")
    parser.add_argument("--queries", type=int, default=100, help="of each kind")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--searched-home", type=Path, help="make the consultations to search here once, and keep them")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help=argparse.SUPPRESS)
    parser.add_argument("--kill", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--council", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    program = Path(__file__)
    if given.name and given.kill:
        store_writing.victim(given.home, given.name)
    elif given.name:
        store_writing.child(given.home, given.name, given.consultations, given.council)
    else:
        if given.consultations and given.processes:
            store_writing.at_once(program, given.processes, given.consultations)
            store_writing.at_once(program, given.processes, given.consultations, council=True)
        if given.kills:
            store_writing.killed(program, given.kills)
        if given.searched and given.searched_home:
            given.searched_home.mkdir(parents=True, exist_ok=True)
            anyio.run(store_search.measure, given.searched_home, given.searched, given.queries, True)
        elif given.searched:
            with tempfile.TemporaryDirectory() as directory:
                anyio.run(store_search.measure, Path(directory), given.searched, given.queries)


if __name__ == "__main__":
    main()
