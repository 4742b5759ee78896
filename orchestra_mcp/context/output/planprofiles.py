"""Query plans of PostgreSQL, MySQL and SQLite: which node dominates, and what is odd about it. Pure.

What counts as odd: a scan of a whole table that keeps little, an estimate ten times off, a sort or hash on disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra_mcp.context.environment.dependencies import table
from orchestra_mcp.context.output.hotspots import Hotspot, Profile, ordered

OFF = 10.0
"""An estimate is wrong when it is off by this factor …"""
MANY = 100
"""… and by so many rows."""
LARGE = 1000
"""Rows from which a whole scan is worth a word."""


@dataclass(slots=True)
class Node:
    """One node of a plan; times and rows are per loop, as the database prints them."""

    label: str
    indent: int
    estimated: float
    cost: float
    time_ms: float | None = None
    rows: float = 0.0
    loops: float = 1.0
    details: list[str] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    @property
    def total(self) -> float:
        """Seconds with its children, over all loops; the estimated cost when the query was not run."""
        return self.cost if self.time_ms is None else self.time_ms * self.loops / 1000

    @property
    def own(self) -> float:
        """`total` without its children's."""
        return max(0.0, self.total - sum(child.total for child in self.children))


POSTGRES = re.compile(r"\(cost=[\d.]+(?:\.\.[\d.]+)? rows=[\d.e+]+(?: width=\d+)?\)")
_NODE = re.compile(
    r"(?P<lead>[\s|]*(?:->[ ]+)?)(?P<label>\S[^\n]{0,400}?)[ ]{1,3}"
    r"\(cost=[\d.]+?(?:\.\.(?P<cost>[\d.]+))? rows=(?P<est>[\d.e+]+)(?: width=\d+)?\)"
    r"(?:[ ]*\((?:actual time=[\d.]+\.\.(?P<time>[\d.]+) |actual )rows=(?P<rows>[\d.e+]+) loops=(?P<loops>[\d.]+)\)|[ ]*\((?P<never>never executed)\))?"
)


def postgres(text: str) -> Profile | None:
    """`EXPLAIN` and `EXPLAIN ANALYZE` as text, of PostgreSQL; also MySQL's tree format, which looks alike."""
    nodes: list[Node] = []
    stack: list[Node] = []
    mysql = not re.search(r"rows=[\d.e+]+ width=", text)
    for raw in text.split("\n")[:5000]:
        line = raw[:1500]
        found = _NODE.match(line) if "(cost=" in line else None
        if found is None:
            if stack and line.strip():
                stack[-1].details.append(line.strip(" |")[:200])
            continue
        node = _node(found)
        while stack and stack[-1].indent >= node.indent:
            stack.pop()
        if stack:
            stack[-1].children.append(node)
        stack.append(node)
        nodes.append(node)
    return _judged("MySQL plan" if mysql else "PostgreSQL plan", nodes)


def _node(found: re.Match[str]) -> Node:
    time, rows = found["time"], found["rows"]
    ran = float(time) if time else 0.0 if found["never"] or rows else None
    return Node(
        found["label"].strip(), len(found["lead"]), _float(found["est"]), _float(found["cost"]), ran,
        _float(rows), 0.0 if found["never"] else _float(found["loops"], 1.0),
    )  # fmt: skip


def _float(text: str | None, otherwise: float = 0.0) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise


POSTGRES_JSON = re.compile(r'"Plan"\s*:\s*\{\s*(?:\+\s*)?"(?:Node Type|Startup Cost|Total Cost)"')


def postgres_json(text: str) -> Profile | None:
    """`EXPLAIN (FORMAT JSON)`, also as psql prints it, with a `+` at the end of each line."""
    text = re.sub(r"[ \t]*\+$", "", text, flags=re.MULTILINE)
    start = text.find("[")
    if 0 <= (brace := text.find("{")) < start or start < 0:
        start = brace
    whole, _ = json.JSONDecoder().raw_decode(text, max(0, start))
    root = whole[0] if isinstance(whole, list) else whole
    nodes: list[Node] = []
    _grow(table(root["Plan"]), 0, nodes)
    return _judged("PostgreSQL plan", nodes)


_SAID = ("Filter", "Index Cond", "Hash Cond", "Join Filter", "Sort Key", "Rows Removed by Filter")


def _grow(plan: dict[str, Any], depth: int, nodes: list[Node]) -> Node:
    where = "".join(
        f" {word} {plan[key]}" for key, word in (("Index Name", "using"), ("Relation Name", "on")) if key in plan
    )
    ran = "Actual Loops" in plan
    node = Node(
        f"{plan.get('Node Type', '?')}{where}", depth, float(plan.get("Plan Rows", 0)), float(plan.get("Total Cost", 0)),
        float(plan.get("Actual Total Time", 0)) if ran else None, float(plan.get("Actual Rows", 0)),
        float(plan.get("Actual Loops", 1)),
    )  # fmt: skip
    node.details = [f"{key}: {plan[key]}" for key in _SAID if key in plan]
    if plan.get("Sort Space Type") == "Disk":
        node.details.append(f"Sort Method: {plan.get('Sort Method')}  Disk: {plan.get('Sort Space Used')}kB")
    if plan.get("Hash Batches"):
        node.details.append(f"Batches: {plan['Hash Batches']}")
    nodes.append(node)
    if depth < 100:
        node.children = [_grow(table(child), depth + 1, nodes) for child in plan.get("Plans", [])]
    return node


def _judged(kind: str, nodes: Sequence[Node]) -> Profile | None:
    ran = any(node.time_ms is not None for node in nodes)
    if ran:  # of several plans in one text, those that were run say more
        nodes = [node for node in nodes if node.time_ms is not None]
    spots = [
        Hotspot(node.label, own=node.own, total=node.total, calls=int(min(node.loops, 1e15)), note=_rows(node, ran))
        for node in nodes
    ]
    by_cost = sorted(nodes, key=lambda n: -n.own)
    findings = [finding for node in by_cost for finding in _odd(node, ran)]
    findings += [_wrong(node) for node in by_cost if _off(node) and not any(_off(child) for child in node.children)]
    whole = sum(node.own for node in nodes)
    return ordered(kind, "s" if ran else "cost", spots, whole, tuple(dict.fromkeys(findings)))


def _rows(node: Node, ran: bool) -> str:
    return f"{node.rows:.0f} rows, {node.estimated:.0f} estimated" if ran else f"{node.estimated:.0f} rows estimated"


def _odd(node: Node, ran: bool) -> Iterator[str]:
    said = "\n".join(node.details)
    removed = re.search(r"Rows Removed by Filter: (\d{1,15})", said)
    condition = next((line for line in node.details if line.startswith("Filter:")), "")
    scans = re.match(r"(?:Parallel )?(?:Seq Scan|Table scan)", node.label)
    if scans and ran:
        read = node.rows + (int(removed[1]) if removed else 0)
        if read * max(1.0, node.loops) >= LARGE:
            kept = f" to keep {node.rows:.0f}" if removed else ""
            times = f" {node.loops:.0f} times" if node.loops > 1 else ""
            yield f"{node.label} reads {read:.0f} rows{kept}{times}{f' ({condition})' if condition else ''}"
    elif scans and condition:
        yield f"{node.label} reads the whole table ({condition})"
    if disk := re.search(r"Sort Method: [^\n]{0,80}Disk: (\w+)", said):
        yield f"{node.label} spills to disk ({disk[1]})"
    if (batches := re.search(r"Batches: (\d{1,9})", said)) and int(batches[1]) > 1:
        yield f"{node.label} spills to disk ({batches[1]} batches)"


def _off(node: Node) -> bool:
    """True when the planner expected ten times more or fewer rows than came."""
    low, high = sorted((max(1.0, node.estimated), max(1.0, node.rows)))
    return node.time_ms is not None and node.loops > 0 and high / low >= OFF and high - low >= MANY


def _wrong(node: Node) -> str:
    low, high = sorted((max(1.0, node.estimated), max(1.0, node.rows)))
    return f"{node.label}: {node.estimated:.0f} rows estimated, {node.rows:.0f} came ({high / low:.0f}× off)"


MYSQL = re.compile(r"(?m)^[ \t]*\|[ \t]*id[ \t]*\|[ \t]*select_type[ \t]*\|[ \t]*table[ \t]*\|")
MYSQL_VERTICAL = re.compile(r"(?m)^[ \t]*id: \d+\n[ \t]*select_type: ")


def mysql(text: str) -> Profile | None:
    """MySQL's and MariaDB's table."""
    keys: list[str] = []
    rows = []
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.strip().startswith("|") else []
        if "select_type" in cells:
            keys = cells
        elif keys and len(cells) == len(keys):
            rows.append(dict(zip(keys, cells, strict=True)))
    return _mysql_rows(rows)


def mysql_vertical(text: str) -> Profile | None:
    """The same after `\\G`: one `key: value` on each line."""
    rows: list[dict[str, str]] = []
    for line in text.split("\n"):
        key, colon, value = line.strip().partition(": ")
        if colon and key == "id":
            rows.append({})
        if colon and rows:
            rows[-1][key] = value.strip()
    return _mysql_rows(rows)


_ACCESS = {
    "ALL": "whole table",
    "index": "whole index",
    "range": "range",
    "ref": "index lookup",
    "eq_ref": "unique lookup",
}


def _mysql_rows(rows: Iterable[dict[str, str]]) -> Profile | None:
    spots, findings = [], []
    for row in rows:
        count, extra, name = _float(row.get("rows")), row.get("Extra", ""), row.get("table", "?")
        access = row.get("type", "")
        key = "" if row.get("key", "NULL") in ("NULL", "") else f" by {row['key']}"
        note = "; ".join(filter(None, (f"{_ACCESS.get(access, access)}{key}", extra if extra != "NULL" else "")))
        spots.append(Hotspot(f"{row.get('select_type', '')} {name}".strip(), own=count, total=count, note=note))
        if access == "ALL" and count >= LARGE:
            findings.append(f"{name} is read whole: {count:.0f} rows, no key used")
        findings += [
            f"{name}: {word}" for word in ("Using temporary", "Using filesort", "Using join buffer") if word in extra
        ]
    return ordered("MySQL plan", "rows", spots, findings=findings)


SQLITE = re.compile(r"(?m)^QUERY PLAN\n[|`]--|^[ \t]*(?:[|`][ |]*--|(?:\d+\|){3})(?:SCAN|SEARCH) \w")
_SQLITE_STEP = re.compile(r"[ |`]*--(\S[^\n]*)|(?:\d+\|){3}(\S[^\n]*)")


def sqlite(text: str) -> Profile | None:
    """`EXPLAIN QUERY PLAN`: no costs, so whole scans weigh 100, sorting by a temporary tree 10, lookups 1."""
    spots, findings = [], []
    for line in text.split("\n"):
        found = _SQLITE_STEP.fullmatch(line.strip()[:500])
        if not found:
            continue
        step = (found[1] or found[2]).strip()
        whole = step.startswith("SCAN") and not re.search(r" USING |CONSTANT ROW|SUBQUERY", step)
        temporary = "TEMP B-TREE" in step or "AUTOMATIC" in step
        spots.append(Hotspot(step, own=100.0 if whole else 10.0 if temporary else 1.0))
        if whole:
            findings.append(f"{step}: every row is read, no index")
        elif temporary:
            findings.append(f"{step}: no index serves this")
    return ordered("SQLite plan", "weight", spots, findings=findings)
