"""What profilers' output says, whatever the profiler: nouns, and how stacks become them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MAX_HOTSPOTS = 60
MAX_LINES = 12


@dataclass(frozen=True, slots=True)
class Hotspot:
    """A place where time goes: a function, a line, a test, or a node of a query plan."""

    function: str
    raw_path: str = ""
    """The file as the profiler printed it; a module's name where it prints no file."""
    line: int = 0
    own: float = 0.0
    """Cost in the place itself, without what it calls, in the profile's unit."""
    total: float = 0.0
    """Cost with everything that it calls; as `own` where the profiler does not tell."""
    calls: int = 0
    """How often it ran; 0 when the profiler does not count."""
    share: float = 0.0
    """Own cost as part of the whole, 0 to 1."""
    note: str = ""
    """What else is known: the source line, the phase of a test, a wrong estimate."""
    path: str = ""
    """The file of this project, once mapped (`profiles.resolve`)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A parsed profile."""

    kind: str
    """`cProfile`, `perf report`, `PostgreSQL plan`, …"""
    unit: str
    """`s`, `samples`, `%` or `cost`."""
    hotspots: tuple[Hotspot, ...]
    """Most own cost first."""
    whole: float = 0.0
    """What all costs together are; 0 when unknown."""
    findings: tuple[str, ...] = ()
    """What stands out beyond the numbers, one line each."""

    @property
    def summary(self) -> str:
        """At most `MAX_LINES` lines for a reader."""
        whole = f", {_amount(self.whole, self.unit)} in all" if self.whole else ""
        lines = [f"{self.kind}{whole}; most own cost first:"]
        findings = [f"! {finding[:200]}" for finding in self.findings[:4]]
        dear = [spot for spot in self.hotspots if spot.share >= 0.005] or self.hotspots[:3]
        lines += [self._row(spot) for spot in dear[: MAX_LINES - 2 - len(findings)]]
        known = {spot.function for spot in self.hotspots[:3]}
        heavy = sorted((s for s in self.hotspots if s.total > 1.5 * s.own), key=lambda s: -s.total)
        if heavy := [s for s in heavy if s.function not in known][:4]:
            names = ", ".join(f"{_place(s)} {_amount(s.total, self.unit)}" for s in heavy)
            lines.append(f"With what they call: {names}"[:400])
        return "\n".join([*lines, *findings])

    def _row(self, spot: Hotspot) -> str:
        calls = f", {spot.calls} calls" if spot.calls > 1 else ""
        total = f", {_amount(spot.total, self.unit)} with callees" if spot.total > 1.02 * spot.own else ""
        note = f": {spot.note[:120]}" if spot.note else ""
        share = f"{100 * spot.share:5.1f} %  " if spot.share else ""
        amount = f"{_amount(spot.own, self.unit)}  " if self.unit != "%" else ""
        return f"  {share}{amount}{_place(spot)}{calls}{total}{note}"


def _place(spot: Hotspot) -> str:
    path = spot.path or spot.raw_path
    where = f" ({path}{f':{spot.line}' if spot.line else ''})" if path else ""
    return spot.function[:120] + where


def _amount(value: float, unit: str) -> str:
    number = (
        f"{value:.0f}" if value == int(value) and value < 1e15 else f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    )
    return f"{number} {unit}"


def ordered(
    kind: str, unit: str, spots: Iterable[Hotspot], whole: float = 0.0, findings: Sequence[str] = ()
) -> Profile | None:
    """A profile with shares filled in and the dearest places first; None when nothing cost anything."""
    known = [spot for spot in spots if spot.own > 0 or spot.total > 0]
    whole = whole or sum(spot.own for spot in known)
    if not known:
        return None
    known.sort(key=lambda spot: (-spot.own, -spot.total))
    shared = [_shared(spot, whole) for spot in _kept(known)]
    return Profile(kind, unit, tuple(shared), whole, tuple(findings))


def _kept(spots: Sequence[Hotspot]) -> list[Hotspot]:
    """The dearest by own cost, and the dearest of the rest by total cost."""
    half = MAX_HOTSPOTS // 2
    return [*spots[:half], *sorted(spots[half:], key=lambda spot: -spot.total)[:half]]


def _shared(spot: Hotspot, whole: float) -> Hotspot:
    return spot if spot.share or not whole else replace(spot, share=min(1.0, spot.own / whole))


Stack = tuple[Sequence[str], float]
"""Frames from the outermost to the innermost, as printed, and the weight of the sample."""


def from_stacks(kind: str, unit: str, stacks: Iterable[Stack]) -> Profile | None:
    """Own cost goes to the innermost frame of each stack, total cost once to each frame in it."""
    own: defaultdict[str, float] = defaultdict(float)
    total: defaultdict[str, float] = defaultdict(float)
    whole = 0.0
    for frames, weight in stacks:
        if frames:
            own[frames[-1]] += weight
            for name in set(frames):
                total[name] += weight
            whole += weight
    return ordered(kind, unit, (_spot(name, own[name], cost) for name, cost in total.items()), whole)


_WITH_FILE = re.compile(
    r"(?P<f>[^(]{1,300}?) ?\((?P<p>[^():]{1,400}(?::\\[^():]{1,400}|:/[^():]{1,400})?)(?::(?P<l>\d+))?(?::\d+)?\)"
)
_JVM = re.compile(r"(?P<p>(?:[\w$]+/)+)(?P<c>[\w$]+)\.(?P<f>[\w$<>]+)(?:_\[\w\])?")


def _spot(name: str, own: float, total: float) -> Hotspot:
    """A frame as collapsed stacks print it: `f (a/b.py:12)`, `com/x/Class.method_[j]`, or a bare symbol."""
    if found := _JVM.fullmatch(name[:500]):
        package = found["p"].replace("/", ".")
        return Hotspot(f"{package}{found['c']}.{found['f']}", f"{found['c'].partition('$')[0]}.java", 0, own, total)
    if found := _WITH_FILE.fullmatch(name[:1000]):
        return Hotspot(found["f"], found["p"], int((found["l"] or "0")[:9]), own, total)
    return Hotspot(name[:300], "", 0, own, total)
