"""What a council costs beyond its models: wall time over the slowest expert, CPU, and the price of a hanging one.

    python benchmarks/overhead.py [--rounds 5] [--latency 1.0]

Three scripted experts on three wires answer over loopback HTTP after the same latency, about a repository that is
made for the run. They agree, so that the ideal is two latencies: the openers at once, then the chair.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.types import Question, Verdict

ANSWER = json.dumps(
    {"position": "the slice is wrong", "answer": "It ends one short, because of the index.", "plan": ["Fix it"]}
)
WIRES = {"alpha": "openai", "beta": "anthropic", "gamma": "gemini"}


def make_repository(root: Path) -> Path:
    """Fifty modules in one commit, and one change that is not committed."""
    for number in range(50):
        body = "\n\n".join(f"def f{i}(rows):\n    return [row for row in rows if row != {i}]" for i in range(20))
        (root / f"module{number}.py").write_text(body + "\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(root), *command], check=True, stdin=subprocess.DEVNULL)
    (root / "module1.py").write_text("def f1(rows):\n    return rows[:-1]\n")
    return root


async def sit(environ: dict[str, str], repo: Path, rounds: int) -> list[tuple[float, float, Verdict]]:
    """Wall and CPU seconds of consultations in one process, after one to warm up."""
    measured = []
    async with Orchestra.open(environ) as orchestra:
        for _ in range(rounds + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            verdict = await orchestra.ask(Question(text="Why does f1 lose the last row?", project=str(repo)))
            measured.append((time.perf_counter() - wall, time.process_time() - cpu, verdict))
    return measured[1:]


def run(name: str, experts: dict[str, Expert], rounds: int, ideal: float, repo: Path, home: Path) -> None:
    """Measure one table row and print it."""
    with Upstream(experts) as upstream:
        config = home / f"{name.replace(' ', '-')}.toml"
        config.write_text(upstream.models_toml(WIRES))
        environ = {**os.environ, "ORCHESTRA_HOME": str(home / "data"), "ORCHESTRA_CONFIG": str(config)}
        measured = asyncio.run(sit(environ, repo, rounds))
    walls = [wall for wall, _, _ in measured]
    cpus = [cpu for _, cpu, _ in measured]
    verdict = measured[-1][2]
    print(
        f"{name:22} wall median {statistics.median(walls):6.3f} s (min {min(walls):.3f}, max {max(walls):.3f}); ideal {ideal:.1f} s; "
        f"overhead {statistics.median(walls) - ideal:+.3f} s; CPU {statistics.median(cpus):.3f} s; "
        f"{verdict.usage.calls} calls; {verdict.headline[:70]}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds that each expert takes")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "repo").mkdir()
        repo = make_repository(home / "repo")
        seconds = given.latency
        well = {name: Expert(ANSWER, latency_s=seconds) for name in WIRES}
        run("three agree", well, given.rounds, 2 * seconds, repo, home)
        run("one of three hangs", {**well, "gamma": Expert(fault="hang")}, given.rounds, 2 * seconds, repo, home)
        run("one of three is empty", {**well, "gamma": Expert(fault="empty")}, given.rounds, 2 * seconds, repo, home)
        run("one expert alone", {"alpha": well["alpha"]}, given.rounds, seconds, repo, home)


if __name__ == "__main__":
    main()
