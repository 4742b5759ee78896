"""How good are the resident analysts? On the parents of real bug fixes, with the bug's description as the question.

    python benchmarks/residents.py [DATA] [--set final|dev|reports] [--only WORD] [--show]
    python benchmarks/residents.py DATA --make      writes DATA/residents.jsonl from the list of commits below
    python benchmarks/residents.py DATA --pick OWNER/NAME [--count 6]       proposes commits for that list

DATA (or the variable ORCHESTRA_BENCH) is a directory with bare copies of the repositories, `OWNER+NAME` or
`OWNER+NAME/repo` (`git clone --mirror https://github.com/OWNER/NAME OWNER+NAME`). The question of a case is the fix's
commit message without its trailers and numbers, never its diff. `--set reports` takes bug reports instead, one JSON
object a line in DATA/reports.jsonl: `id`, `mirror` (OWNER/NAME), `base_commit`, `problem_statement` and
`gold_functions` ([path, qualified name, first line, last line, kind] at the base commit).

Printed: how often a function that the fix changed is the first claim's (top 1) and is named by any claim (any), per
analyst and together, and how many statements are false by a second look (`residents_judge.py`); those that it cannot
judge are counted, and printed with `--show` for a person to read.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
from residents_judge import Case as JudgedCase
from residents_judge import Statement, git, judge

from orchestra_mcp.context.code import symbols
from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.council.residents import hear_residents
from orchestra_mcp.types import Absence, Claim, Opinion, Question

# Repository and fix, used while the analysts were written. Figures on these are not a measure.
DEV: tuple[tuple[str, str], ...] = (
    ("encode/starlette", "bcdf0ad017168408060b6faab156636ced4c94f7"),
    ("encode/starlette", "85b9c2642b6b806c0d0c33e5418914893a5789f6"),
    ("encode/starlette", "fe908b1c29f2f890110a1e64813083ae314a2d9f"),
    ("encode/starlette", "b5126b2063dbd6fa46d3e60b4a7117c99dcdbe6e"),
    ("encode/starlette", "5fcf4945e60e873be0bc55b3c705ed2da0385755"),
    ("encode/starlette", "eee4cdcb9a4e787d53df88ccbee2861a0bb9b0a8"),
    ("pallets/click", "4e519da58ac79fbd97eb86eb7717603d77eec379"),
    ("pallets/click", "9da1791476fe79ce77aa7a2a2db370c91a455251"),
    ("pallets/click", "b625654063f03936c65f33d1f5025376f57f4a06"),
    ("pallets/click", "2bc3b2c12c6deb68164313386a036dc7543461fa"),
    ("pallets/click", "4fd19ce097576072020084a61b6172bfb9b07f26"),
    ("pallets/click", "2468b70997a6ec27ced4b4867954c90da3f92075"),
    ("psf/requests", "8d693a2a27d0a073c0d03823cab71a3716001285"),
    ("psf/requests", "db575eeedcfdb03bf31285afd3033e301df8b685"),
    ("psf/requests", "722b1dae96b0523dde5e01351dd743f102090f53"),
    ("psf/requests", "4e7beef860aae511a79df97203c1be50dda35049"),
    ("psf/requests", "37037607b5f3da32ff1897caca3c38e210f04c37"),
    ("pallets/flask", "cc536c8a7b6f61fedb2d0cb1abdd643d8e987afe"),
    ("pallets/flask", "3ba37d2afe6511c3f3153248f7342174bea5b131"),
    ("pallets/flask", "92ce20eeacf5de24803abaf70a3658806fa4d74f"),
    ("pallets/flask", "41e08f4ccd0f41896200cbf5c5f5d6f3df3df713"),
    ("pallets/flask", "a30951ec28e23a5d1c9380c4bd5844f2290c1dc8"),
    ("aio-libs/aiohttp", "fb69cf0bc9f380e04b632fe92f76c4613902978d"),
    ("aio-libs/aiohttp", "8790eb0308713475400cffd8af01ee96f929b0fe"),
    ("aio-libs/aiohttp", "374fb1dc29baa5e5b11a113ce1a5d0d04116f8e3"),
    ("aio-libs/aiohttp", "199628943cb6eab8032ce57fb163c98f10d8c53b"),
    ("aio-libs/aiohttp", "8ef76ab8029d0f2d88449fe115feb42ded646c7c"),
    ("fastapi/typer", "dbc335b0824b952c70278cccb5dbcf774cdba9b5"),
    ("fastapi/typer", "646c73732945435f69076e5ec195797619190e09"),
    ("fastapi/typer", "f35ae0da5878059491acdcd85f89d366a670233f"),
    ("fastapi/typer", "dcb45b1a65e80316b2b740e4f6c2968209439714"),
    ("fastapi/typer", "a2215ebdcd50d2010576d492ee0ef89321e8eab3"),
    ("marshmallow-code/marshmallow", "4db911d204b7aa333bb2b54bc4dc41064ea4d74b"),
    ("marshmallow-code/marshmallow", "8ec072faed48f6d5a73670fa782b6982e7834dd6"),
    ("marshmallow-code/marshmallow", "23efb5c4c780e14ad150577f434ba5c470aa5e92"),
    ("marshmallow-code/marshmallow", "8baf81301fe9c3b7acaf50117499674cf2d0546c"),
    ("marshmallow-code/marshmallow", "c847b07b0649c05b2310253134907587849bdce6"),
    ("gin-gonic/gin", "44d0dd70924dd154e3b98bc340accc53484efa9c"),
    ("gin-gonic/gin", "e4f6e053d04a11e37c7b76b086167c5700e177b1"),
    ("gin-gonic/gin", "e207a3ce65323c3dda7cd8133fe14f4f1efd2500"),
    ("gin-gonic/gin", "e3ee01d1850b018b24ac215a3bb8de3d79e2604b"),
    ("gin-gonic/gin", "4867ff9634d1889156587d5add70d2b29c447542"),
    ("expressjs/express", "e606d99dc892159312e9204ea809a76b26b93dbe"),
    ("expressjs/express", "0b746953c4bd8e377123527db11f9cd866e39f94"),
    ("expressjs/express", "24d1c98c0ae4cc5dfd79bfff5d536a95034f7569"),
    ("expressjs/express", "0a48e18056865364b2461b2ece7ccb2d1075d3c9"),
    ("expressjs/express", "41113599afb01040436dba993f06cacbdb8f8e13"),
)
# Repository and fix, never looked at before the figures were printed. Add here, from `--pick`.
FINAL: tuple[tuple[str, str], ...] = (
    ("pallets/werkzeug", "767485dfbcf93c069225e842ace382f314e64c9b"),
    ("pallets/werkzeug", "c52fa3770e732e06121dae8a2d1a0679056380d4"),
    ("pallets/werkzeug", "3d17d9abafe7f4fe54e0afc9cabe8976a108d310"),
    ("pallets/werkzeug", "0b472374af1ab91000ea244a0da44d49c04c7cce"),
    ("pallets/werkzeug", "c341a0ab6fd9ed375e8bb902504f4747160f98f2"),
    ("pallets/jinja", "92622e9145a6b50d59ac7ed30fd255a664b76f4e"),
    ("pallets/jinja", "850629f1c329e1947a43735170fcf8fb35e08cce"),
    ("pallets/jinja", "2b48839fb65f0ce5276c3de4ad30a705e89a3162"),
    ("pallets/jinja", "a524e77eec22589e4e657550233a5c3bcf24d046"),
    ("pallets/jinja", "a7f016dae24342b40a274def90f43758d79ca2bf"),
    ("urllib3/urllib3", "d7bb83b48c23d8dd429c20a43ac3da74ea6e9df0"),
    ("urllib3/urllib3", "0628b6b290e52ef9a8b01c49f49dd218d2ee4fe2"),
    ("urllib3/urllib3", "645b82c3d1e23ef7b1fc44782d7501a16496c3a2"),
    ("urllib3/urllib3", "6fc17a344532171d2a54a2cabc686f89e3658dbd"),
    ("urllib3/urllib3", "dc946a044e4a429791cdfa9d59b73e9f901839cc"),
    ("spf13/cobra", "19cf35ea77e5981f8e8b90a897af621f2be864f6"),
    ("spf13/cobra", "a73b9c391a9489d20f5ee1480e75d3b99fc8c7e2"),
    ("spf13/cobra", "8c6fa02d2225de0f9bdcb7ca912556f68d172d8c"),
    ("spf13/cobra", "6b0bd3076cfafd1c108264ed1e4aa0c0fe3f8537"),
    ("spf13/cobra", "b5366273a6b41e93decceeaeef005516cab56c24"),
    ("google/gson", "20d895ff95414d4da23d07115c57920f5813a95d"),
    ("google/gson", "9e6f2bab20257b6823a5b753739f047d79e9dcbd"),
    ("google/gson", "9a2421997e83ec803c88ea370a2d102052699d3b"),
    ("google/gson", "4f0728f6a09063ab9f2121dd6077634a316c9401"),
    ("google/gson", "a4bc6c17d71fffe62cd8e478a2e68305df825d40"),
    ("encode/httpx", "94323f98ac812031dcf0bfecf6227beb2afd9c41"),
    ("encode/httpx", "99cba6ac642b12f0331d069ae324402c54c4c600"),
    ("encode/httpx", "15d09a3bbc20372cd87e48f17f7c9381c8220a0f"),
    ("encode/httpx", "fb17459335b7e703f1895c4186a4fe421a54d815"),
    ("encode/httpx", "e53f995994d835735f757f63cc763ef641ff8cbc"),
    ("pytest-dev/pytest", "4c5298c3954efa71436364efaf531d3851a6aeb4"),
    ("pytest-dev/pytest", "28e1e25a6782513db8a2963bd5ed5a9d66682f86"),
    ("pytest-dev/pytest", "e8a8a5f320ad7a9fc1d58ab74c2425e923634f60"),
    ("pytest-dev/pytest", "de47b73520fd9b7e41272701d7fd4663357af046"),
    ("pydicom/pydicom", "aa42809add6faa389937c846582a3d5196531376"),
    ("pydicom/pydicom", "723995b2cfa7895a48dc2d254d11f5e14a6d4549"),
    ("pydicom/pydicom", "7844eccc6df6d2f171763ac9ea566311da46b760"),
    ("pydicom/pydicom", "3613120addaa501811db9d7ca70ac7bce614dcd0"),
    ("pylint-dev/astroid", "6fec464be57a9db182dc25466e82bc49f68cd121"),
    ("pylint-dev/astroid", "e064505906bcecc62bb75c32bb5dd10ad2ca7788"),
    ("pylint-dev/astroid", "e40ac59e470d7166369732f84b8ae7ce9164b0a3"),
    ("pylint-dev/astroid", "19623e71f4a64c86499ffa052c7b2a67a8cdab77"),
    ("FasterXML/jackson-core", "9bf8284908efae24acd4cbb553b391f6e005f692"),
    ("FasterXML/jackson-core", "340f812faf089bc17b5253ef73c51d6a570a2fc5"),
    ("FasterXML/jackson-core", "17bc4ca52bc8371e9d74775001911fe33bda4a95"),
    ("FasterXML/jackson-core", "83322137000f2fd8e7132bd195ac863ae90eaf8d"),
    ("pvlib/pvlib-python", "bb0e0b47c8f80cb4f8965ee98af931f8d425de3e"),
    ("pvlib/pvlib-python", "c4a2b4bdb99216dbf1bf1dd58c7156f25c0e7458"),
    ("pvlib/pvlib-python", "1f73af605a6bca2996d49ece2710c05a1d50347f"),
    ("pvlib/pvlib-python", "82b93f345fcb17b5cd4d53a7d902d6f71b876c35"),
)

BUDGET = 8_000  # tokens of a dossier
ROUNDS = 20  # of indexing, each about a second, before a question is asked
FIX = re.compile(r"\b(fix(e[sd])?|bug|crash|error|exception|wrong|incorrect|regression|raise[sd]?|leak|broken)\b", re.I)
SKIP = re.compile(
    r"\b(typo|docs?|changelog|lint|flake8|mypy|typing|ci|bump|release|test[s]? fix|fix(ed)? tests?|merge)\b", re.I
)
SOURCE = re.compile(r"\.(py|js|mjs|ts|tsx|go|rs|java)$")
TEST = re.compile(
    r"(^|/)(tests?|testing|__tests__|spec|examples?|docs?|benchmarks?)/|(^|/)(test_|conftest)|_test\.|\.test\.|\.spec\.|Test\.java$"
)
TRAILER = re.compile(
    r"(?im)^(signed-off-by|co-authored-by|reviewed-by|closes?|refs?|see|pr-url|change-id|cherry picked)\b.*$"
)
NUMBER = re.compile(
    r"\s*\(?\b(?:(?:fix(?:e[sd])?|close[sd]?|resolve[sd]?|issue|ticket|pr)\s*:?\s*)?(?:#\d+|gh-\d+)\)?", re.I
)


@dataclasses.dataclass(frozen=True)
class Case:
    id: str
    mirror: str
    base: str
    question: str
    gold: tuple[tuple[str, str, int, int], ...]
    """Path, qualified name, first and last line of each function that the fix changed, at the base commit."""


@dataclasses.dataclass
class Score:
    cases: int = 0
    spoke: int = 0
    first: int = 0
    any: int = 0


def mirror_path(data: Path, name: str) -> Path | None:
    base = data / name.replace("/", "+")
    return next((place for place in (base, base / "repo", base / ".git") if (place / "objects").is_dir()), None)


def question_of(message: str) -> str:
    """A commit message as a question: without trailers, issue numbers and lists of changed files."""
    lines = [line for line in TRAILER.sub("", message).splitlines() if not re.match(r"^\s*\* .*: |^git-svn-id", line)]
    return NUMBER.sub("", "\n".join(lines)).strip()


def changed_lines(mirror: Path, fix: str) -> dict[str, set[int]]:
    """Path → lines of the parent that a commit changes (for a pure insertion, the line before it)."""
    found: dict[str, set[int]] = {}
    path = ""
    for row in git(mirror, "diff", "-U0", "--no-renames", f"{fix}^1", fix).splitlines():
        if row.startswith("--- "):
            path = row[6:] if row.startswith("--- a/") else ""
        elif (match := re.match(r"@@ -(\d+)(?:,(\d+))? \+", row)) and path:
            start, count = int(match[1]), int(match[2] or 1)
            found.setdefault(path, set()).update(range(start, start + max(1, count)))
    return {path: lines for path, lines in found.items() if SOURCE.search(path) and not TEST.search(path)}


def gold_of(mirror: Path, fix: str) -> tuple[tuple[str, str, int, int], ...]:
    """The functions of the parent that the fix changed, outside tests."""
    gold = {}
    for path, lines in changed_lines(mirror, fix).items():
        text = git(mirror, "show", f"{fix}^1:{path}").encode()
        syntax = symbols.parse(path, text)
        functions = [d for d in (symbols.definitions(syntax, path) if syntax else ()) if d.kind != "class"]
        for line in lines:
            around = [d for d in functions if d.start <= line <= d.end]
            if around:
                inner = min(around, key=lambda d: d.end - d.start)
                gold[path, inner.qualified] = (path, inner.qualified, inner.start, inner.end)
    return tuple(gold.values())


def pick(data: Path, repo: str, count: int) -> Iterator[tuple[str, str]]:
    """Bug fixes of a repository that change at most three functions, by a hash of their ids, not by taste."""
    mirror = mirror_path(data, repo)
    if mirror is None:
        sys.exit(f"no copy of {repo} in {data}")
    rows = git(mirror, "log", "--no-merges", "-n", "2500", "--format=%H%x00%s").splitlines()
    fixes = [row.split("\0") for row in rows]
    wanted = [sha for sha, subject in fixes if FIX.search(subject) and not SKIP.search(subject)]
    taken = 0
    for sha in sorted(wanted, key=lambda sha: hashlib.sha256(sha.encode()).hexdigest()):
        files = git(mirror, "show", "--format=", "--name-only", sha).split()
        tested = any(TEST.search(f) and SOURCE.search(f) for f in files)
        question = question_of(git(mirror, "show", "-s", "--format=%B", sha))
        if tested and len(question) > 30 and 1 <= len(gold_of(mirror, sha)) <= 3:
            yield repo, sha
            taken += 1
            if taken == count:
                return


def commit_cases(data: Path, listed: tuple[tuple[str, str], ...]) -> Iterator[Case]:
    for repo, fix in listed:
        mirror = mirror_path(data, repo)
        if mirror is None:
            print(f"left out: no copy of {repo} in {data}")
            continue
        base = git(mirror, "rev-parse", f"{fix}^1").strip()
        question = question_of(git(mirror, "show", "-s", "--format=%B", fix))
        yield Case(f"{repo}@{fix[:10]}", repo, base, question, gold_of(mirror, fix))


def report_cases(file: Path) -> Iterator[Case]:
    for line in file.read_text().splitlines():
        row = json.loads(line)
        gold = tuple((p, name, a, b) for p, name, a, b, kind in row["gold_functions"] if kind in ("function", "method"))
        if gold:
            yield Case(row["id"], row["mirror"], row["base_commit"], row["problem_statement"], gold)


def stored_cases(file: Path) -> Iterator[Case]:
    for line in file.read_text().splitlines():
        row = json.loads(line)
        yield Case(**{**row, "gold": tuple(tuple(g) for g in row["gold"])})


def checkout(mirror: Path, base: str, work: Path) -> Path:
    """A work tree whose history ends at the base commit."""
    root = work / hashlib.sha256(str(mirror).encode()).hexdigest()[:12]
    if not root.exists():
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        (root / ".git/objects/info/alternates").write_text(f"{mirror.resolve()}/objects\n")
        (root / ".git/info/attributes").write_text("* -working-tree-encoding -filter -text\n")
    git(root, "checkout", "-q", "-f", "--detach", base)
    git(root, "clean", "-fdxq")
    if git(root, "rev-parse", "HEAD").strip() != base:
        raise LookupError(f"{base[:12]} cannot be checked out from {mirror}")
    return root


def names(claim: Claim, case: Case) -> bool:
    """True when a claim points into a function that the fix changed: path and line, or path and symbol."""
    return any(
        claim.path == path and (start <= claim.line <= end or (claim.symbol and claim.symbol == name))
        for path, name, start, end in case.gold
    )


async def _index(evidence: ProjectEvidence) -> None:
    """Index the files, as far as `ROUNDS` calls do it: the figures should not hang on how busy this machine is."""
    stamps = await evidence.stamps()
    for _ in range(ROUNDS):
        await evidence.index.refresh(stamps, {})
        if not evidence.index.pending:
            return


async def hear(case: Case, root: Path) -> list[Opinion | Absence]:
    question = Question(text=case.question, mode="debug", project=str(root))
    evidence = ProjectEvidence(root)
    await _index(evidence)
    dossier = await collect(question, root, evidence, budget=BUDGET)
    return await hear_residents(question, dossier, evidence, timeout_s=60)


def run(cases: list[Case], data: Path, show: bool) -> None:
    scores: dict[str, Score] = collections.defaultdict(Score)
    verdicts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    seconds: list[float] = []
    false: list[str] = []
    unjudged: list[str] = []
    repos = set()
    with tempfile.TemporaryDirectory() as place:
        for case in cases:
            mirror = mirror_path(data, case.mirror)
            if mirror is None:
                print(f"left out: no copy of {case.mirror}")
                continue
            try:
                root = checkout(mirror, case.base, Path(place))
            except LookupError as error:
                print(f"left out: {error}")
                continue
            repos.add(case.mirror)
            began = time.monotonic()
            said = anyio.run(hear, case, root)
            seconds.append(time.monotonic() - began)
            _score(case, said, scores)
            for opinion in said:
                if isinstance(opinion, Absence):
                    print(f"!! {case.id}: {opinion.seat} {opinion.reason}")
                    continue
                _judge(case, root, opinion, verdicts, false, unjudged)
                if show:
                    print(f"   {opinion.seat}: {opinion.position}")
            marks = [names(c, case) for o in said if isinstance(o, Opinion) for c in o.claims]
            print(
                f"{'HIT ' if any(marks) else 'miss'} {case.id}  {seconds[-1]:.1f} s  wanted {case.gold[0][0]} {case.gold[0][1]}",
                flush=True,
            )
    _print(scores, verdicts, seconds, false, unjudged, len(repos), show)


def _score(case: Case, said: list[Opinion | Absence], scores: dict[str, Score]) -> None:
    opinions = [o for o in said if isinstance(o, Opinion)]
    for seat in ("walker", "historian", "inspector"):
        scores[seat].cases += 1
        for opinion in opinions:
            if opinion.seat == seat and opinion.claims:
                scores[seat].spoke += 1
                scores[seat].first += names(opinion.claims[0], case)
                scores[seat].any += any(names(c, case) for c in opinion.claims)
    total = scores["together"]
    total.cases += 1
    total.spoke += bool(opinions)
    total.first += bool(opinions and opinions[0].claims and names(opinions[0].claims[0], case))
    total.any += any(names(c, case) for o in opinions for c in o.claims)


def _judge(
    case: Case, root: Path, opinion: Opinion, verdicts: dict[str, list[int]], false: list[str], unjudged: list[str]
) -> None:
    earlier: list[Statement] = []
    for claim in opinion.claims:
        statement = Statement(claim.text, claim.path, claim.line, claim.symbol, claim.quote)
        holds, rule = judge(JudgedCase(root, case.question, tuple(earlier)), statement)
        earlier.append(statement)
        told = f"{case.id} {opinion.seat} [{rule}] {claim.path}:{claim.line} {claim.symbol}: {claim.text} | {claim.quote[:140]}"
        verdicts[rule][0 if holds else 1 if holds is False else 2] += 1
        if holds is False:
            false.append(told)
        elif holds is None:
            unjudged.append(told)


def _print(
    scores: dict[str, Score],
    verdicts: dict[str, list[int]],
    seconds: list[float],
    false: list[str],
    unjudged: list[str],
    repos: int,
    show: bool,
) -> None:
    print(
        f"\n{len(seconds)} cases of {repos} repositories; {sorted(seconds)[len(seconds) // 2] if seconds else 0:.1f} s a case (median), collecting included"
    )
    print("\nA function that the fix changed is       top 1      any    (of those who spoke)")
    for seat, score in scores.items():
        print(
            f"  {seat:<10} spoke {score.spoke:>3} of {score.cases:<3}   {score.first:>8} {score.any:>8}    {score.first / max(1, score.spoke):.2f} / {score.any / max(1, score.spoke):.2f}"
        )
    holds, fails, open_ = (sum(v[i] for v in verdicts.values()) for i in range(3))
    print(
        f"\nStatements: {holds + fails + open_}; judged {holds + fails}, of them false {fails} ({fails / max(1, holds + fails):.1%}); unjudged {open_}"
    )
    for rule, counts in sorted(verdicts.items(), key=lambda item: -sum(item[1])):
        print(f"  {rule:<36} holds {counts[0]:>4}  false {counts[1]:>3}  unjudged {counts[2]:>3}")
    for title, rows in (("False, or held false by the judge", false), ("Unjudged", unjudged if show else [])):
        if rows:
            print(f"\n{title}:")
            for row in rows:
                print("  " + row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("ORCHESTRA_BENCH", ""))
    parser.add_argument("--set", choices=("final", "dev", "reports"), default="final")
    parser.add_argument("--make", action="store_true", help="write DATA/residents.jsonl and stop")
    parser.add_argument("--pick", default="", help="propose fixes of OWNER/NAME")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--only", default="", help="only cases whose id contains this (several: separate by commas)")
    parser.add_argument("--show", action="store_true", help="print positions and unjudged statements")
    given = parser.parse_args()
    if not given.data:
        parser.error("give the data directory, or set ORCHESTRA_BENCH")
    data = Path(given.data)
    if given.pick:
        for repo, sha in pick(data, given.pick, given.count):
            print(f'    ("{repo}", "{sha}"),')
        return
    if given.make:
        rows = [dataclasses.asdict(case) for case in commit_cases(data, FINAL)]
        (data / "residents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        print(f"{len(rows)} cases written to {data / 'residents.jsonl'}")
        return
    if given.set == "reports":
        cases = list(report_cases(data / "reports.jsonl"))
    elif given.set == "final" and (data / "residents.jsonl").is_file():
        cases = list(stored_cases(data / "residents.jsonl"))
    else:
        cases = list(commit_cases(data, DEV if given.set == "dev" else FINAL))
    words = [word for word in given.only.split(",") if word]
    run([c for c in cases if c.gold and (not words or any(word in c.id for word in words))], data, given.show)


if __name__ == "__main__":
    main()
