"""What a question costs on one repository, for `context.py`: warm, from a fresh interpreter, and never seen before.

    python benchmarks/context_speed.py ROOT HOME retrieval|dossier

asks what the lines of standard input say, each a JSON string. In that form it is the fresh interpreter: it asks each question and prints what they cost. Needs Linux or macOS.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROUNDS = 5


def ask_all(root: Path, home: Path, what: str, questions: list[str]) -> None:
    """The child: each question with eyes of its own, as each consultation has."""
    import resource

    import anyio
    from context_asking import cpu_seconds, dossier, no_builder, search, stopwatch

    from orchestra_mcp.context.evidence import ProjectEvidence

    imported = cpu_seconds()

    async def ask() -> list[dict[str, float]]:
        costs = []
        for text in questions:
            with stopwatch() as cost:
                eyes = ProjectEvidence(root, (), home)
                await (search(text, eyes) if what == "retrieval" else dossier(text, eyes))
            costs.append({"cpu": cost.cpu, "wall": cost.wall, "pending": eyes.index.pending})
        return costs

    with no_builder():
        costs = anyio.run(ask)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"imports": imported, "rss": rss * (1 if sys.platform == "darwin" else 1024), "asked": costs}))


def child(root: Path, home: Path, what: str, questions: list[str]) -> dict[str, Any]:
    """A fresh interpreter that asks."""
    command = [sys.executable, __file__, str(root), str(home), what]
    done = subprocess.run(command, input="\n".join(map(json.dumps, questions)), text=True, capture_output=True, check=True)  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def build(root: Path, home: Path) -> tuple[float, float, int, int]:
    """CPU seconds, wall seconds, peak memory in bytes of the process that makes an index, and the index's size."""
    from context_asking import builder, stopwatch

    command = builder(root, home)
    with stopwatch() as cost:
        process = subprocess.Popen(command)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"The builder failed on {root}.")
    size = sum(file.stat().st_size for file in home.rglob("*.db*"))
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return used.ru_utime + used.ru_stime, cost.wall, peak, size


def measure(root: Path, questions: list[str]) -> list[tuple[str, str]]:
    """The rows of the table for one repository; at least two questions, so that one is the second."""
    first, second = questions[0], questions[-1]
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        unseen = [child(root, Path(tempfile.mkdtemp(dir=place)), "dossier", [first]) for _ in range(3)]
        cpu, wall, peak, size = build(root, home)
        child(root, home, "retrieval", [first])  # reads the last commits, once for an index
        warm, whole = (
            [child(root, home, what, [first, second]) for _ in range(ROUNDS)] for what in ("retrieval", "dossier")
        )

    def middle(rows: list[dict[str, Any]], number: int, what: str) -> float:
        return float(statistics.median(row["asked"][number][what] for row in rows))

    def of(rows: list[dict[str, Any]], what: str) -> float:
        return float(statistics.median(row[what] for row in rows))

    def seconds(rows: list[dict[str, Any]], number: int) -> str:
        return f"{middle(rows, number, 'cpu'):.3f} s CPU, {middle(rows, number, 'wall'):.3f} s wall"

    return [
        ("warm query (second question of a process), retrieval", seconds(warm, 1)),
        ("… whole dossier", seconds(whole, 1)),
        ("warm start (first question of a process), retrieval, without imports", seconds(warm, 0)),
        ("… whole dossier, without imports", seconds(whole, 0)),
        ("interpreter and imports", f"{of(warm, 'imports'):.3f} s CPU"),
        (
            "memory of that process: retrieval, dossier",
            f"{of(warm, 'rss') / 2**20:.0f}, {of(whole, 'rss') / 2**20:.0f} MiB",
        ),
        ("first answer (dossier), never seen, without imports", seconds(unseen, 0)),
        ("… files left to the background", f"{middle(unseen, 0, 'pending'):.0f}"),
        ("cold index, whole builder process", f"{cpu:.2f} s CPU, {wall:.2f} s wall"),
        ("… its peak memory", f"{peak / 2**20:.0f} MiB"),
        ("index on disk", f"{size / 2**20:.1f} MiB"),
    ]


if __name__ == "__main__":
    ask_all(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], [json.loads(line) for line in sys.stdin if line.strip()])
