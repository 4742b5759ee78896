"""Is the council right more often than its best member? Stored answers of real models, replayed through the product.

    ORCHESTRA_BENCH=<folder> python benchmarks/council.py [folder] [--only vote,weak,…] [--n 1200] [--http 12]

The folder holds stored answers in the layout that `benchmarks/council_data.py` reads: `mmlu_pro_matrix.csv.gz`,
`mmlu_pro_questions.jsonl.gz` and `_answers`, the same for `classeval` and `livecodebench`, and `prices.csv`. Answers of
31 models to MMLU-Pro are in TIGER-AI-Lab/MMLU-Pro (Apache-2.0), programs in FudanSELab/ClassEval and LiveCodeBench
submissions (MIT).

Everything runs through the product's own strategies, reading, clustering, ranking, confidence and workbench. The quick
variant has a provider in memory and no store; `--http` asks the first questions once more through `Orchestra.open` over
loopback HTTP, with outcomes marked by `Orchestra.mark`, and compares.

What stored answers cannot show: what live models would say in reviews, comparisons of positions, rebuttals, debates and
syntheses. Those calls are refused here, so that the degraded path is what is measured; reviewers in `ballots` are scripted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
from council_data import Data
from council_gates import SECTIONS
from council_http import over_http

HOW = (
    "No stored answers: give the folder as an argument or in ORCHESTRA_BENCH. It must hold {missing}.\n"
    "See the head of benchmarks/council.py for where such answers come from."
)


async def run(data: Data, only: Sequence[str], n: int, http: int) -> None:
    """Print the rows of each section."""
    for name in only:
        began = time.perf_counter()
        print(f"{name}: {(SECTIONS[name].__doc__ or '').strip().splitlines()[0]}", flush=True)
        await SECTIONS[name](data, n)
        print(f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    if http:
        print("http: The same questions over loopback HTTP, through the whole product.", flush=True)
        await over_http(data, http)
    print("\nNot shown by stored answers: live reviews, comparisons, rebuttals, debates and syntheses.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections; 2 when there is no data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("ORCHESTRA_BENCH", ""), help="of stored answers")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"sections: {', '.join(SECTIONS)}; none with --http")
    parser.add_argument("--n", type=int, default=1200, help="questions for each figure, at most")
    parser.add_argument("--http", type=int, default=0, help="questions that are also asked over HTTP")
    given = parser.parse_args(arguments)
    only = [name for name in given.only.split(",") if name and name != "none"]
    if unknown := set(only) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    folder = Path(given.folder or ".")
    data = Data(folder / "council" if (folder / "council").is_dir() else folder)
    if missing := data.missing():
        print(HOW.format(missing=", ".join(missing)), file=sys.stderr)
        return 2
    anyio.run(run, data, only, given.n, given.http)
    return 0


if __name__ == "__main__":
    sys.exit(main())
