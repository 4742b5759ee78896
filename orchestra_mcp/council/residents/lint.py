"""pyflakes' messages on Python files, reduced to those that are defects and can be shown. Pure but for the words asked.

Add a message class to `TELLING`; what is not in the table is not reported.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from orchestra_mcp.council.residents.flakes import Message
from orchestra_mcp.types import Evidence

# Class of pyflakes' message → weight. Weight 2: an error when the line runs; 1: a sign of one; 0: left over.
TELLING: dict[str, int] = {
    "UndefinedName": 2,
    "UndefinedLocal": 2,
    "DuplicateArgument": 2,
    "IsLiteral": 1,
    "AssertTuple": 2,
    "IfTuple": 2,
    "RaiseNotImplemented": 2,
    "InvalidPrintSyntax": 1,
    "MultiValueRepeatedKeyLiteral": 1,
    "MultiValueRepeatedKeyVariable": 1,
    "PercentFormatInvalidFormat": 2,
    "PercentFormatMixedPositionalAndNamed": 2,
    "PercentFormatUnsupportedFormatCharacter": 2,
    "PercentFormatPositionalCountMismatch": 2,
    "PercentFormatExtraNamedArguments": 1,
    "PercentFormatMissingArgument": 2,
    "PercentFormatExpectedMapping": 2,
    "PercentFormatExpectedSequence": 2,
    "StringDotFormatExtraPositionalArguments": 1,
    "StringDotFormatExtraNamedArguments": 1,
    "StringDotFormatMissingArgument": 2,
    "StringDotFormatMixingAutomatic": 2,
    "StringDotFormatInvalidFormat": 2,
    "RedefinedWhileUnused": 1,
    "UnusedVariable": 0,
    "UnusedImport": 0,
}
PYTHON_2 = frozenset(
    "unicode xrange long basestring raw_input unichr reduce file cmp execfile reload buffer intern apply WindowsError "
    "reveal_type reveal_locals _ __path__".split()
)

EXCUSED = re.compile(r"#\s*(noqa|type:|pragma|pylint:|flake8)", re.IGNORECASE)
FIXTURE = re.compile(r"(^|/)(testdata|test_data|fixtures)/|(^|/)tests?/(.*/)?data/")  # broken on purpose, often


async def defects(
    path: str, lines: Sequence[str], messages: Sequence[Message], focus: Collection[int], evidence: Evidence
) -> list[tuple[int, Message]]:
    """(weight, message) of the telling messages that lie on lines in `focus`."""
    found = []
    for given in messages if not FIXTURE.search(path) else ():
        message = _at_name(given, lines)
        weight = TELLING.get(message.kind, -1)
        line = lines[message.line - 1] if 0 < message.line <= len(lines) else ""
        if weight < 0 or message.line not in focus or EXCUSED.search(line):
            continue
        if await _holds(path, lines, message, evidence):
            found.append((weight, message))
    return found


def _at_name(message: Message, lines: Sequence[str]) -> Message:
    """An unused import at the line of the name itself, not of the statement that may go over many lines."""
    if message.kind != "UnusedImport" or lines[message.line - 1][:1].isspace():
        return message
    name = re.compile(rf"\b{re.escape(re.split(r'[. ]', message.name)[-1])}\b")
    for number in range(message.line, min(message.line + 80, len(lines) + 1)):
        if name.search(lines[number - 1].split(" import ")[-1]):
            return message._replace(line=number)
        if ")" in lines[number - 1]:
            break
    return message


async def _holds(path: str, lines: Sequence[str], message: Message, evidence: Evidence) -> bool:
    line = lines[message.line - 1]
    if message.kind in ("UndefinedName", "UndefinedLocal"):
        executed = path.endswith(("conf.py", "SConstruct", "wscript"))  # run with names that the file does not bind
        return (
            not executed
            and message.name not in PYTHON_2
            and not any("__builtin__" in row or "builtins." in row for row in lines)
        )
    if message.kind == "UnusedVariable":
        return not message.name.startswith("_") and not line.lstrip().startswith(("except", "with ", "async with "))
    if message.kind == "RedefinedWhileUnused":
        above = lines[message.line - 2] if message.line > 1 else ""
        decorated = above.lstrip().startswith(("@", ")"))
        return not decorated and (not line[:1].isspace() or line.lstrip().startswith("def test"))
    if message.kind == "UnusedImport":
        return await _really_unused(path, lines, line, message.name, evidence)
    return True


async def _really_unused(path: str, lines: Sequence[str], line: str, name: str, evidence: Evidence) -> bool:
    """False when the import may be there for others: in `__init__`, conditional, exported, or taken from here."""
    indented = line[:1].isspace() and not re.fullmatch(r"\s+\w+( as \w+)?,?\s*(#.*)?", line)
    if path.endswith(("__init__.py", "conftest.py", "compat.py")) or indented:
        return False
    if any("__all__" in row or "getattr(sys.modules" in row for row in lines) or "future" in line:
        return False
    bound = name.rsplit(" as ", 1)[-1].split(".")[-1] if " as " in name else name.split(".")[-1]
    module = path.rsplit("/", 1)[-1].removesuffix(".py")
    for other, number, text in await evidence.mentions(bound, 200):
        if other == path:
            continue
        if f"{module}.{bound}" in text:
            return False
        block = "\n".join(await evidence.read(other, max(1, number - 20), number))
        if re.search(rf"from\s+\S*\b{re.escape(module)}\s+import\b", block):
            return False
    return True
