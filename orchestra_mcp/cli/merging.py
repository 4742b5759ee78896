"""Put one server into a client's configuration text without losing anything else in it. Pure.

The text is edited, not rewritten: comments, order, indentation and line ends stay. JSON may carry comments and
trailing commas, as editors allow (JSONC). What cannot be edited safely is refused, and the caller shows what to paste.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

Table = dict[str, Any]

TOKEN = re.compile(
    r'(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<mark>[{}\[\]:,])|(?P<word>[^\s{}\[\]:,"/]+)',
    re.DOTALL,
)

TRAILING = re.compile(r"([ \t]*,)?([ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/))?")
"""What may follow a member on its line: a comma and a remark."""


class CannotMerge(ValueError):
    """The text is not what its format promises, or holds something that must not be overwritten; says what."""


def combined(old: object, new: Table) -> Table:
    """What an entry becomes: ours wins, everything else that the user added stays; `env` and `env_vars` are united.

    Raises:
        CannotMerge: the old entry is no table, or a server that is reached by URL.
    """
    if old is None:
        return new
    if not isinstance(old, dict):
        raise CannotMerge("the entry that is there is no table")
    if "url" in old or "httpUrl" in old:
        raise CannotMerge("there is an entry of that name already, for a server that is reached by URL")
    result = {**old, **new}
    if isinstance(old.get("env"), dict):
        result["env"] = {**old["env"], **new.get("env", {})}
    if isinstance(old.get("env_vars"), list):
        result["env_vars"] = list(dict.fromkeys([*old["env_vars"], *new.get("env_vars", [])]))
    return result


# ----------------------------------------------------------------------------------------------------------- JSON


@dataclass
class _Node:
    """A value of a JSON text and where it stands."""

    start: int
    end: int
    value: Any
    members: dict[str, _Node] = field(default_factory=dict)


def merge_json(text: str, section: str, name: str, entry: Table) -> str:
    """The text with `section.name` set to `combined(what was there, entry)`.

    Raises:
        CannotMerge: the text is no JSON object, or `section` is no object.
    """
    body = text.removeprefix("\ufeff")
    bom, newline = text[: len(text) - len(body)], "\r\n" if "\r\n" in body else "\n"
    body = body if body.strip() else "{}" + newline
    root = _parse(body)
    if not isinstance(root.value, dict):
        raise CannotMerge("the file holds no JSON object")
    servers = root.members.get(section)
    if servers is not None and not isinstance(servers.value, dict):
        raise CannotMerge(f"{section!r} is no JSON object")
    old = servers.members.get(name) if servers else None
    wanted = combined(old.value if old else None, entry)
    if old and old.value == wanted:
        return text
    if old:
        edited = body[: old.start] + _pretty(wanted, _indent_at(body, old.start), body) + body[old.end :]
    elif servers:
        edited = _insert(body, servers, name, wanted)
    else:
        edited = _insert(body, root, section, {name: wanted})
    expected = {**root.value, section: {**(servers.value if servers else {}), name: wanted}}
    if _parse(edited).value != expected:
        raise CannotMerge("its layout is too unusual to be edited safely")
    return bom + (edited.replace("\r\n", "\n").replace("\n", newline) if newline == "\r\n" else edited)


def read_json(text: str) -> Any:
    """The value of a JSON text with comments.

    Raises:
        CannotMerge: it is not valid.
    """
    return _parse(text.removeprefix("\ufeff") or "{}").value


def _parse(text: str) -> _Node:
    tokens = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if not match:
            raise CannotMerge(f"it is no valid JSON at line {text.count(chr(10), 0, position) + 1}")
        if match.lastgroup != "skip":
            tokens.append((match[0], match.start(), match.end()))
        position = match.end()
    tokens.append(("", len(text), len(text)))
    node, at = _value(tokens, 0)
    if tokens[at][0]:
        raise _bad(tokens[at])
    return node


_Token = tuple[str, int, int]


def _bad(token: _Token) -> CannotMerge:
    return CannotMerge(f"it is no valid JSON near {token[0][:20]!r}" if token[0] else "it ends too early")


def _value(tokens: list[_Token], at: int) -> tuple[_Node, int]:
    word, start, end = tokens[at]
    if word == "{":
        return _object(tokens, at)
    if word == "[":
        items: list[Any] = []
        at += 1
        while tokens[at][0] != "]":
            node, at = _value(tokens, at)
            items.append(node.value)
            at = _after_item(tokens, at, "]")
        return _Node(start, tokens[at][2], items), at + 1
    try:
        return _Node(start, end, json.loads(word, strict=False)), at + 1
    except ValueError:
        raise _bad(tokens[at]) from None


def _object(tokens: list[_Token], at: int) -> tuple[_Node, int]:
    node = _Node(tokens[at][1], 0, {})
    at += 1
    while tokens[at][0] != "}":
        if not tokens[at][0].startswith('"') or tokens[at + 1][0] != ":":
            raise _bad(tokens[at])
        key = json.loads(tokens[at][0], strict=False)
        child, at = _value(tokens, at + 2)
        node.members.pop(key, None)  # of doubled keys the last counts, and is the one to edit
        node.members[key], node.value[key] = child, child.value
        at = _after_item(tokens, at, "}")
    node.end = tokens[at][2]
    return node, at + 1


def _after_item(tokens: list[_Token], at: int, closing: str) -> int:
    if tokens[at][0] == ",":
        return at + 1
    if tokens[at][0] != closing:
        raise _bad(tokens[at])
    return at


def _indent_at(text: str, position: int) -> str:
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    first = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return first[1] if first else "  "


def _pretty(value: Any, indent: str, text: str) -> str:
    return json.dumps(value, indent=_unit(text), ensure_ascii=False).replace("\n", "\n" + indent)


def _insert(text: str, parent: _Node, key: str, value: Any) -> str:
    """The text with one more member at the end of an object."""
    if not parent.members:
        outer = _indent_at(text, parent.start)
        inner = outer + _unit(text)
        member = f"{json.dumps(key)}: {_pretty(value, inner, text)}"
        kept = text[parent.start + 1 : parent.end - 1].rstrip()  # comments, if anything
        return f"{text[: parent.start]}{{{kept}\n{inner}{member}\n{outer}}}{text[parent.end :]}"
    last = max(parent.members.values(), key=lambda node: node.end)
    indent = _indent_at(text, min(parent.members.values(), key=lambda node: node.start).start)
    trailing = TRAILING.match(text, last.end)
    comma, remark = ("," if trailing and trailing[1] else ""), (trailing and trailing[2]) or ""
    after = trailing.end() if trailing else last.end
    member = f"{json.dumps(key)}: {_pretty(value, indent, text)}{comma}"
    return f"{text[: last.end]},{remark}\n{indent}{member}{text[after:]}"


# ----------------------------------------------------------------------------------------------------------- TOML


def merge_toml(text: str, section: str, name: str, entry: Table) -> str:
    """The text with the table `[section.name]` set to `combined(what was there, entry)`; same errors as `merge_json`."""
    before = read_toml(text)
    servers = before.get(section, {})
    if not isinstance(servers, dict):
        raise CannotMerge(f"{section!r} is no table")
    old = servers.get(name)
    wanted = combined(old, entry)
    if old == wanted:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    header = re.compile(rf"\s*\[\s*{section}\s*\.\s*(?:{name}|\"{name}\"|'{name}')\s*\]\s*(?:#.*)?$")
    at = next((n for n, line in enumerate(lines) if header.match(line.rstrip("\r\n"))), None)
    if old is None:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        edited = text + gap + toml_block(section, name, wanted).replace("\n", newline)
    elif at is None:
        raise CannotMerge(f"[{section}.{name}] is written in a way that cannot be edited safely")
    else:
        changed = {key: value for key, value in wanted.items() if old.get(key) != value}
        edited = "".join(_set_keys(lines, at, changed, newline))
    if read_toml(edited) != {**before, section: {**servers, name: wanted}}:
        raise CannotMerge(f"[{section}.{name}] is written in a way that cannot be edited safely")
    return edited


def toml_block(section: str, name: str, entry: Table) -> str:
    """`[section.name]` with its keys."""
    return f"[{section}.{name}]\n" + "".join(f"{key} = {_toml_value(value)}\n" for key, value in entry.items())


def read_toml(text: str) -> Table:
    """The value of a TOML text.

    Raises:
        CannotMerge: it is not valid.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise CannotMerge(f"it is no valid TOML: {error}") from None


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _set_keys(lines: list[str], at: int, changed: Table, newline: str) -> list[str]:
    """The lines with some keys of the table whose header is line `at` replaced, or added below the header."""
    result, todo, n = lines[: at + 1], dict(changed), at + 1
    body: list[str] = []
    while n < len(lines) and not lines[n].lstrip().startswith("["):
        span = _statement(lines, n)
        key = re.match(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*=", lines[n])
        if key and key[1] in todo:
            body.append(f"{key[1]} = {_toml_value(todo.pop(key[1]))}{newline}")
        else:
            body += lines[n : n + span]
        n += span
    if not result[-1].endswith("\n"):
        result[-1] += newline
    added = [f"{key} = {_toml_value(value)}{newline}" for key, value in todo.items()]
    return [*result, *added, *body, *lines[n:]]


def _statement(lines: list[str], at: int) -> int:
    """How many lines the statement at a line takes."""
    for size in range(1, len(lines) - at + 1):
        try:
            tomllib.loads("".join(lines[at : at + size]).replace("\r\n", "\n"))
        except tomllib.TOMLDecodeError:
            continue
        return size
    return 1
