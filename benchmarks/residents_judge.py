"""A second, independent look at each statement of the resident analysts, for `residents.py`.

Nothing of Orchestra is imported here. Lines are read from the work tree; blame and changes are asked of plain git;
Python statements are looked up with the standard library's `ast`; pyflakes' messages are compared with ruff. What no
rule here covers stays unjudged and is for a person to read.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RUFF = {"UnusedImport": "F401", "UndefinedName": "F821", "RedefinedWhileUnused": "F811", "UnusedVariable": "F841"}
SAID = {
    "F401": "imported but unused",
    "F821": "undefined name",
    "F811": "redefinition of unused",
    "F841": "is assigned to but never used",
    "F632": "to compare constant literals",
    "F50": "... % ...",
    "F52": ".format(...)",
    "F601": "dictionary key",
    "F631": "assertion is always true",
    "F634": "if tuple literal",
    "F823": "referenced before assignment",
    "F901": "raise NotImplemented",
}
TESTS = re.compile(
    r"(^|/)(tests?|testing|__tests__|specs?)/|(^|/)(test_[^/]*|conftest)\.py$|_test\.\w+$|\.(test|spec)\.\w+$"
)


@dataclass(frozen=True)
class Statement:
    """A claim as the analysts gave it."""

    text: str
    path: str
    line: int
    symbol: str
    quote: str


@dataclass(frozen=True)
class Case:
    """Where it was said: the work tree, and the question."""

    root: Path
    question: str
    earlier: tuple[Statement, ...] = ()


Verdict = bool | None
"""True: holds; False: does not; None: no rule here can tell."""


def judge(case: Case, said: Statement) -> tuple[Verdict, str]:
    """Whether a statement holds, and which rule told."""
    path = case.root / said.path
    if not path.is_file():
        return False, "no such file"
    lines = path.read_text("utf-8", "replace").splitlines()
    if said.line > len(lines) or (said.line and lines[said.line - 1].strip() != said.quote):
        return False, "the quoted line is not that line"
    if said.symbol and said.path.endswith(".py"):
        scopes = {name for name, node in functions(case.root, said.path) if spans(node, said.line)}
        readable = any(functions(case.root, said.path))  # not so for Python 2
        if said.line and readable and not any(name.endswith(said.symbol) for name in scopes):
            return False, "not in that function"
    for pattern, rule in RULES:
        if match := pattern.search(said.text):
            try:
                return rule(case, said, match), rule.__name__.strip("_")
            except (SyntaxError, ValueError):
                return None, "unreadable for the judge"
    return None, "no rule"


def tree(root: Path, path: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse((root / path).read_text("utf-8", "replace"))


def functions(root: Path, path: str) -> Iterator[tuple[str, ast.AST]]:
    """(qualified name, node) of all functions and classes of a Python file."""

    def visit(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield scope + child.name, child
                inner = f"{scope}{child.name}."
            yield from visit(child, inner)

    try:
        yield from visit(tree(root, path), "")
    except SyntaxError:
        return


def spans(node: ast.AST, line: int) -> bool:
    first = min([getattr(node, "lineno", 0), *(d.lineno for d in getattr(node, "decorator_list", []))])
    return bool(first <= line <= (getattr(node, "end_lineno", 0) or 0))


def at(case: Case, said: Statement, kind: type[ast.AST] | tuple[type[ast.AST], ...], line: int = 0) -> list[ast.AST]:
    """Nodes of a kind that touch a line."""
    wanted = line or said.line
    return [
        node
        for node in ast.walk(tree(case.root, said.path))
        if isinstance(node, kind) and getattr(node, "lineno", 0) <= wanted <= (getattr(node, "end_lineno", 0) or 0)
    ]


def around(case: Case, path: str, line: int) -> ast.AST | None:
    """The innermost Python function around a line."""
    found = [node for _, node in functions(case.root, path) if not isinstance(node, ast.ClassDef) and spans(node, line)]
    return max(found, key=lambda node: getattr(node, "lineno", 0), default=None)


def python(said: Statement) -> bool:
    return said.path.endswith((".py", ".pyi"))


def squeeze(text: str) -> str:
    return "".join(text.split())


def plain(text: str) -> str:
    """Text without case, blanks and underscores."""
    return squeeze(text).lower().replace("_", "")


def body_at(case: Case, said: Statement) -> str:
    """The text of the function around a statement's line; for other languages than Python, the next 150 lines."""
    lines = (case.root / said.path).read_text("utf-8", "replace").splitlines()
    node = around(case, said.path, said.line) if python(said) else None
    end = (getattr(node, "end_lineno", 0) or 0) if node is not None else said.line + 150
    start = getattr(node, "lineno", said.line) if node is not None else said.line
    return "\n".join(lines[min(start, said.line) - 1 : max(end, said.line + 150 * (node is None))])


def git(root: Path, *args: str) -> str:
    return subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, errors="replace").stdout


# ------------------------------------------------------------------------------------------------ rules


def _frame(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    """File name and function (or the source line) stand together in the trace that the question quotes."""
    name = said.symbol.rsplit(".", 1)[-1]
    text = case.question
    file = Path(said.path).name
    near = [text[max(0, m.start() - 200) : m.end() + 400] for m in re.finditer(re.escape(file), text)]
    if not near:
        return None
    return any((name and name in part) or squeeze(said.quote) in squeeze(part) for part in near)


def _guard(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    for node in at(case, said, ast.If):
        if node.lineno == said.line and isinstance(node, ast.If):  # type: ignore[attr-defined]
            same = (
                squeeze(ast.unparse(node.test)).replace('"', "'")[:40]
                == squeeze(ast.unparse(ast.parse(match["what"].rstrip("…"), mode="eval"))).replace('"', "'")[:40]
                if not match["what"].endswith("…")
                else True
            )
            return same and any(isinstance(n, ast.Raise) for part in node.body for n in ast.walk(part))
    return False


def _handling(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    return any(isinstance(n, ast.Raise) for h in at(case, said, ast.ExceptHandler) for n in ast.walk(h))


def _taken(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    owners = [n for n in at(case, said, ast.Attribute) if isinstance(n, ast.Attribute) and n.attr == match["name"]]
    return any(
        squeeze(ast.unparse(n.value))[:20] == squeeze(match["what"]).rstrip("…").replace('"', "'")[:20] for n in owners
    )


def _parameter(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    node = around(case, said.path, said.line) if python(said) else None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    a = node.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg)))]
    return match["what"] in names


def _bound_at(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """The name is bound on that line, and nowhere between it and the line in question (the claim before)."""
    if not python(said):
        return None
    name = match["what"]
    function = around(case, said.path, said.line)
    if function is None:
        return None

    def bound(node: ast.AST) -> bool:
        target = getattr(node, "targets", None) or [getattr(node, "target", None)]
        return any(
            t is not None and name in {squeeze(ast.unparse(n)) for n in ast.walk(t) if isinstance(n, ast.expr)}
            for t in target
        )

    rows = {
        n.lineno
        for n in ast.walk(function)
        if isinstance(n, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.AsyncFor | ast.NamedExpr)
        and bound(n)
    }
    rows |= {c.target.lineno for c in ast.walk(function) if isinstance(c, ast.comprehension) and bound(c)}
    until = next((s.line for s in reversed(case.earlier) if s.path == said.path and s.line > said.line), 10**9)
    return said.line in rows and not any(said.line < row < until for row in rows)


def _attribute_set(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    return any(
        match["what"] in squeeze(ast.unparse(n)).split("=")[0] + "="
        for n in at(case, said, (ast.Assign, ast.AnnAssign, ast.AugAssign))
    )


def _nothing(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    node = around(case, said.path, said.line) if python(said) else None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    rest = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.lineno == said.line]
    if rest:
        return any(n.value is None or ast.unparse(n.value) == "None" for n in rest)
    return not isinstance(node.body[-1], ast.Return | ast.Raise) and said.line == node.end_lineno


def _blamed(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    told = git(case.root, "blame", "--porcelain", "-L", f"{said.line},{said.line}", "--", said.path)
    return told.startswith(match["id"]) and f"summary {match['subject'].rstrip('…')}"[:60] in told


def _visible(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return _blamed(case, said, match)
    node = next(
        (n for name, n in functions(case.root, said.path) if name.endswith(said.symbol) and spans(n, said.line)), None
    )
    if node is None:
        return None
    end = int(match["upto"]) if match["upto"] else node.end_lineno  # type: ignore[attr-defined]
    start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])  # type: ignore[attr-defined]
    told = git(case.root, "blame", "--line-porcelain", "-L", f"{start},{end}", "--", said.path)
    newest = max((int(t) for t in re.findall(r"^(?:committer|author)-time (\d+)", told, re.M)), default=0)
    mine = [part for part in re.split(r"(?m)^(?=[0-9a-f]{40} )", told) if part.startswith(match["id"])]
    newest_author = max((int(t) for t in re.findall(r"^author-time (\d+)", told, re.M)), default=0)
    newest_commit = max((int(t) for t in re.findall(r"^committer-time (\d+)", told, re.M)), default=0)
    return bool(newest and mine) and any(
        f"author-time {newest_author}\n" in p or f"committer-time {newest_commit}\n" in p for p in mine
    )


def _in_last_commit(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    diff = git(case.root, "diff", "-U0", "HEAD~1", "HEAD", "--", said.path)
    rows = [(int(a), int(b or 1)) for a, b in re.findall(r"(?m)^@@ -\S+ \+(\d+)(?:,(\d+))? @@", diff)]
    return any(a - 1 <= said.line <= a + max(b, 1) for a, b in rows)


def _pyflakes(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    rule = next((code for code, words in SAID.items() if words in match["what"]), "F")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", "--output-format", "json", "--target-version", "py311", "--ignore-noqa", said.path],
        cwd=case.root, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout or "[]")
    return any(
        (f["code"] or "").startswith(rule) and f["location"]["row"] <= said.line <= f["end_location"]["row"]
        for f in found
    )


def _dropped(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    if not python(said):
        lines = (case.root / said.path).read_text("utf-8", "replace").splitlines()
        text = " ".join(lines[said.line - 1 : said.line + 2])
        return re.search(r"catch\s*(\([^)]*\))?\s*\{\s*\}", text) is not None
    found = [n for n in at(case, said, ast.ExceptHandler) if isinstance(n, ast.ExceptHandler) and n.lineno == said.line]
    return any(len(n.body) == 1 and ast.unparse(n.body[0]) in ("pass", "...") for n in found)


def _shared_default(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    node = around(case, said.path, said.line)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    name = match["what"]
    changed = any(
        n.lineno == int(match["at"]) and name in ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.stmt)
    )
    rebound = any(isinstance(n, ast.Assign) and any(ast.unparse(t) == name for t in n.targets) for n in ast.walk(node))
    return changed and not rebound


def _left_open(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    node = around(case, said.path, said.line)
    if node is None:
        return None
    name = match["what"]
    text = ast.unparse(node)
    return (
        f"{name}.close(" not in text
        and not re.search(rf"return[^\n]*\b{name}\b(?!\.read)", text)
        and f"with {name}" not in text
    )


def _one_go(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    calls = at(case, said, ast.Call)
    return any(
        isinstance(n, ast.Call)
        and isinstance(n.func, ast.Attribute)
        and isinstance(n.func.value, ast.Call)
        and ast.unparse(n.func.value.func) == "open"
        for n in calls
    )


def _coroutine(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    thrown = [n for n in at(case, said, ast.Expr) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    made = [
        n
        for n in ast.walk(tree(case.root, said.path))
        if isinstance(n, ast.AsyncFunctionDef) and n.name == match["what"]
    ]
    return bool(thrown) and len(made) == 1 and not made[0].decorator_list


def _never_reached(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    for node in ast.walk(tree(case.root, said.path)):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            for one, two in itertools.pairwise(block) if isinstance(block, list) else ():
                if isinstance(one, ast.Return | ast.Raise) and two.lineno == said.line:
                    return True
    return False


def _unfit(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """`inspect` binds the call to the signature before and after."""
    path, name = match["path"], match["what"]
    texts = git(case.root, "show", f"HEAD~1:{path}"), (case.root / path).read_text("utf-8", "replace")
    calls = [
        n
        for n in at(case, said, ast.Call)
        if isinstance(n, ast.Call) and ast.unparse(n.func).rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]
    ]
    fits = []
    for text in texts:
        node = next(
            (
                n
                for n in ast.walk(ast.parse(text))
                if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name.rsplit(".", 1)[-1]
            ),
            None,
        )
        if node is None or not calls:
            return None
        scope: dict[str, object] = {}
        args = ast.unparse(node.args)
        bare = re.sub(r":\s*[^=,]+(?=[=,]|$)", "", args) if ":" in args else args
        exec(f"def probe({re.sub(r'=[^,]+', '=None', bare)}): pass", scope)  # a bare signature, made from our own parse
        given = ([None] if "." in name else []) + [None] * len(calls[0].args)
        try:
            inspect.signature(scope["probe"]).bind(*given, **{k.arg: None for k in calls[0].keywords if k.arg})  # type: ignore[arg-type]
            fits.append(True)
        except TypeError:
            fits.append(False)
    return fits == [True, False]


def _without_test(case: Case, said: Statement, _match: re.Match[str]) -> Verdict:
    changed = git(case.root, "diff", "--name-only", "HEAD~1", "HEAD").split()
    named = git(case.root, "grep", "-lw", said.symbol.rsplit(".", 1)[-1]).split()
    return said.path in changed and not any(TESTS.search(p) for p in (*changed, *named))


def _named_so(case: Case, said: Statement, ground: re.Match[str]) -> Verdict:
    return ground[1] in case.question and said.symbol.rsplit(".", 1)[-1] == ground[1].rsplit(".", 1)[-1]


def _has_words(case: Case, said: Statement, ground: re.Match[str]) -> Verdict:
    """Each word stands in the question and in the function; of a form, all but its ending does."""
    asked, there = plain(case.question), plain(said.symbol + body_at(case, said))
    stems = [plain(word).rstrip("s") for word in ground["words"].split(",")]
    stems = [stem[: max(4, len(stem) - 4)] if ground["form"] else stem for stem in stems]
    return all(stem in asked and stem in there for stem in stems)


def _file_has_words(case: Case, said: Statement, ground: re.Match[str]) -> Verdict:
    asked, there = plain(case.question), plain((case.root / said.path).read_text("utf-8", "replace"))
    return all(plain(word).rstrip("s") in asked and plain(word).rstrip("s") in there for word in ground[1].split(","))


def _file_in_question(case: Case, said: Statement, _ground: re.Match[str]) -> Verdict:
    return any(name in case.question for name in (Path(said.path).stem, Path(said.path).parent.name) if name)


def _path_says(_case: Case, said: Statement, ground: re.Match[str]) -> Verdict:
    return all(plain(word).rstrip("s") in plain(said.path) for word in ground[1].split(", "))


def _file_defines(case: Case, said: Statement, ground: re.Match[str]) -> Verdict:
    text = (case.root / said.path).read_text("utf-8", "replace").lower()
    return all(re.split(r"\W", name)[-1].lower() in text for name in ground[1].split(", "))


def _similar_commits(case: Case, said: Statement, _ground: re.Match[str]) -> Verdict:
    subjects = plain(git(case.root, "log", "-n", "3000", "--format=%s", "--", said.path))
    return any(plain(word) in subjects for word in re.findall(r"\w{4,}", case.question))


def _said_itself(_case: Case, _said: Statement, _ground: re.Match[str]) -> Verdict:
    return True  # the claim that says so is looked at by `_message`


def _in_changes(case: Case, said: Statement, _ground: re.Match[str]) -> Verdict:
    return bool(git(case.root, "diff", "--name-only", "HEAD~1", "HEAD", "--", said.path))


# Every ground in a ranking. Add here; the first pattern that fits is used, and what fits none cannot be judged.
GROUNDS: tuple[tuple[re.Pattern[str], Callable[[Case, Statement, re.Match[str]], Verdict]], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"the question names `(.+)`$", _named_so),
        (r"(?:changed|added) \(", _in_changes),
        (r"(?=.*frame|.*further out)", _frame),
        (r"it has (?:the question's words? |(?P<form>forms of ))(?P<words>[^;…]*)", _has_words),
        (r"its file has the question's words? (.*)", _file_has_words),
        (r"(?:the question names its file|its file is in the trace)$", _file_in_question),
        (r"its path says (.*)", _path_says),
        (r"its file defines (.*)", _file_defines),
        (r"commits with similar messages changed its file$", _similar_commits),
        (r"it holds the quoted message$", _said_itself),
    )
)


def _told(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """Every ground in a ranking is looked at; a frame that the question does not quote is no fault."""
    open_ = False
    for ground in match["grounds"].split(" · "):
        found = next(((rule, told) for pattern, rule in GROUNDS if (told := pattern.match(ground))), None)
        held = found[0](case, said, found[1]) if found else None
        if held is False:
            return False
        open_ = open_ or held is None
    return None if open_ else True


def _message(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    return squeeze(match["what"]) in squeeze(case.question) and squeeze(match["what"])[:40] in squeeze(said.quote)


def _calls(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    return any(
        ast.unparse(n.func).rsplit(".", 1)[-1] == match["what"]
        for n in at(case, said, ast.Call)
        if isinstance(n, ast.Call)
    )


def _indexed(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    return any(
        squeeze(ast.unparse(n.value))[:20] == squeeze(match["what"])[:20]
        for n in at(case, said, ast.Subscript)
        if isinstance(n, ast.Subscript)
    )


def _signature(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    name = match["what"].rsplit(".", 1)[-1]
    if not python(said):
        return None
    others = [
        line
        for line in git(case.root, "grep", "-nwE", rf"(def|class) {name}", "--", "*.py").splitlines()
        if not TESTS.search(line.split(":")[0])
    ]
    return len(others) == 1 or "." in match["what"]


def _assigned(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    if not python(said):
        return None
    return any(match["what"] in ast.unparse(n) for n in at(case, said, ast.stmt))


def _absent(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    text = (case.root / said.path).read_text("utf-8", "replace")
    found = re.findall(rf"\b{re.escape(match['what'])}\b", text)
    return len(found) == (0 if "does not occur" in match[0] else 1)


def _touched_file(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """git tells the same status of the last commit, and about as many lines (a pure deletion counts once)."""
    letter = git(case.root, "diff", "--name-status", "-M", "HEAD~1", "HEAD").splitlines()
    mine = next((row.split("\t") for row in letter if row.split("\t")[-1] == said.path), None)
    if mine is None or match["what"] != said.path:
        return False
    hunks = re.findall(
        r"(?m)^@@ -\S+ \+\d+(?:,(\d+))? @@", git(case.root, "diff", "-U0", "-M", "HEAD~1", "HEAD", "--", said.path)
    )
    added = sum(int(count or 1) for count in hunks)
    if match["n"] and mine[0][0] != "R" and not added <= int(match["n"]) <= added + hunks.count("0"):
        return False
    return {"M": "modified", "A": "added", "R": "renamed", "T": "modified"}[mine[0][0]] == match["status"]


def _used_elsewhere(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """The last commit changed the function, and git finds its name on as many other lines."""
    if not _in_last_commit(case, said, match):
        return False
    if not match["n"]:
        return True
    node = around(case, said.path, said.line) if python(said) else None
    if node is None:
        return None
    name = match["what"].rsplit(".", 1)[-1]
    rows = [row.split(":", 2)[:2] for row in git(case.root, "grep", "-nwI", "-e", name).splitlines()]
    other = [path for path, line in rows if path != said.path or not spans(node, int(line))]
    return len(other) == int(match["n"])


COMMIT = r"(?P<id>[0-9a-f]{7,40}) of \d{4}-\d\d-\d\d, “(?P<subject>.*?)”"
LED = r"^\d\. " + COMMIT + ": it "


def _in_log(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """The commit is in git's own log of the function around the line (of the line alone outside of Python)."""
    start = end = said.line
    if python(said) and said.symbol:
        node = next(
            (n for name, n in functions(case.root, said.path) if name.endswith(said.symbol) and spans(n, said.line)),
            None,
        )
        if node is None:
            return None
        start = min([getattr(node, "lineno", start), *(d.lineno for d in getattr(node, "decorator_list", []))])
        end = min(getattr(node, "end_lineno", end) or end, start + 150)
    else:
        return match["id"] in git(case.root, "log", "--format=%H", "--follow", "--", said.path)
    told = git(case.root, "log", "--format=%H", "--no-patch", f"-L{start},{end}:{said.path}")
    return any(line.startswith(match["id"]) for line in told.splitlines())


def _changed_in(case: Case, commit: str, path: str) -> str:
    """The added and removed lines of one file in a commit; all of them for the first commit."""
    diff = git(case.root, "show", "-m", "--first-parent", "--format=", "-U0", commit, "--", path)
    return "\n".join(row[1:] for row in diff.splitlines() if row[:1] in "+-" and row[:3] not in ("+++", "---"))


def _used_by(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """The function was changed by the commit, and its name stands on the line that is said to use it, or feeds it."""
    path, _, line = match["at"].rpartition(":")
    name = match["what"].rsplit(".", 1)[-1]
    caller = around(case, path, int(line)) if path.endswith(".py") else None
    rows = (case.root / path).read_text("utf-8", "replace").splitlines()
    start = getattr(caller, "lineno", max(1, int(line) - 60))
    return any(re.search(rf"\b{re.escape(name)}\b", row) for row in rows[start - 1 : int(line)]) and _in_log(
        case, said, match
    )


def _wrote(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """Blame names the commit; or the later ones that it is said to be behind leave the file's Python tree as it was."""
    for flags in (("-w",), ()):
        told = git(case.root, "blame", *flags, "--porcelain", "-L", f"{said.line},{said.line}", "--", said.path)
        if told.startswith(match["id"]):
            return True
    behind = re.search(r"but for its form \(([0-9a-f, ]+) only", said.text)
    if behind is None or not python(said):
        return None if behind else False
    for commit in behind[1].split(", "):
        before, after = (git(case.root, "show", f"{rev}:{said.path}") for rev in (f"{commit}^1", commit))
        if ast.dump(ast.parse(before)) != ast.dump(ast.parse(after)):
            return None  # it did more elsewhere in the file
    told = git(case.root, "log", "--format=%H", "--no-patch", f"-L{said.line},{said.line}:{said.path}")
    return any(line.startswith(match["id"]) for line in told.splitlines())


def _brought(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    """The changed lines of the commit in that file hold the word."""
    return match["what"].lower() in _changed_in(case, match["id"], said.path).lower()


def _took_condition(case: Case, said: Statement, match: re.Match[str]) -> Verdict:
    diff = git(case.root, "show", "-m", "--first-parent", "--format=", "-U0", match["id"], "--", said.path)
    gone = re.search(r"(?m)^-\s*(?:\}\s*)?(?:if|elif|else if|except|catch|assert|guard|unless|while|try)\b", diff)
    return bool(gone) and _in_log(case, said, match)


Rule = Callable[[Case, Statement, re.Match[str]], Verdict]
# Add a rule here; the first pattern that fits is used.
RULES: tuple[tuple[re.Pattern[str], Rule], ...] = tuple(
    (re.compile(pattern, re.DOTALL), rule)
    for pattern, rule in (
        (LED + r"last changed ", _wrote),
        (
            LED
            + r"(?:changed|added) `(?P<what>.+)`, which (?:the failing line|a line of the path) uses \((?P<at>.+)\)",
            _used_by,
        ),
        (LED + r"(?:changed|added) lines with `(?P<what>.+)`, which the error names", _brought),
        (LED + r"(?:changed|added) `(?P<what>.+)` in .*, code of which is in the trace", _brought),
        (LED + r"took away a condition in ", _took_condition),
        (LED + r"(?:changed|added) (?:`|what `)", _in_log),
        (r"^\d\. `[^`]+`: (?P<grounds>.*)", _told),
        (r"^`[^`]+` \((?:function|method|class|section)\): (?P<grounds>.*)", _told),
        (r" (?:is the innermost frame of this project|own frames? further out) ", _frame),
        (r"own frames? further out in the trace|is the innermost frame", _frame),
        (r"raised on purpose when `(?P<what>.+)` holds", _guard),
        (r"raised while handling another exception", _handling),
        (r"`\.(?P<name>\w+)` is taken from `(?P<what>.+)` on this line", _taken),
        (r"`(?P<what>.+)` is a parameter here", _parameter),
        (r"`(?P<what>.+)` is last assigned above that line", _bound_at),
        (r"`(?P<what>.+)` is set in this class", _attribute_set),
        (r"can give back nothing: ", _nothing),
        (r"^The line in question was last changed by " + COMMIT, _blamed),
        (
            r"most recent commit that is still visible in `[^`]+`(?: \(lines up to (?P<upto>\d+)\))? is " + COMMIT,
            _visible,
        ),
        (r"touched by the latest change", _in_last_commit),
        (r"^(?P<what>\S+) was (?P<status>modified|added|renamed)(?:, (?P<n>\d+) lines)?$", _touched_file),
        (
            r"^`(?P<what>[^`]+)`: \d+ lines? (?:changed|added)(?:; its name occurs at (?P<n>\d+) other)?",
            _used_elsewhere,
        ),
        (r"^pyflakes: (?P<what>.*)", _pyflakes),
        (r"drops whatever it catches|the error is dropped without a trace", _dropped),
        (
            r"default `.*` of `(?P<what>\w+)` is made once for all calls and changed in line (?P<at>\d+)",
            _shared_default,
        ),
        (r"the file `(?P<what>\w+)` opened here is never closed", _left_open),
        (r"opened and used as `open", _one_go),
        (r"`(?P<what>\w+)` is async .* without `await`", _coroutine),
        (r"this line is never reached", _never_reached),
        (r"this call fitted `(?P<what>[\w.]+)` before its signature changed \((?P<path>[^:]+):", _unfit),
        (r"no test file changed with it", _without_test),
        (r"holds the words of the quoted message, “(?P<what>.*)”", _message),
        (r"^`.+` calls `(?P<what>\w+)`$", _calls),
        (r"`(?P<what>\w+)` is called on this line", _calls),
        (r"only index on this line is `.*`, into `(?P<what>.+)`", _indexed),
        (r"`(?P<what>.+)` is indexed with", _indexed),
        (r"The only definition of `(?P<what>[\w.]+)` in this project has the signature", _signature),
        (r"The key `(?P<what>.+)` is (?:set|assigned)", _assigned),
        (r"`(?P<what>\w+)` is assigned here", _assigned),
        (r"The divisor on this line is `(?P<what>.+)`", _assigned),
        (r"`(?P<what>\w+)` occurs in this file only here|The word `(?P<other>\w+)` does not occur", _absent),
    )
)
