"""The trace walker: from the root cause's innermost frame outwards to the first suspect, and what the exception means.

Without a trace it looks for the line that holds a quoted error message and starts there.
"""

from __future__ import annotations

from collections import Counter

from orchestra_mcp.council.residents import trees
from orchestra_mcp.council.residents.explain import explain
from orchestra_mcp.council.residents.lineup import Case, Lineup, Walk
from orchestra_mcp.council.residents.meanings import meaning
from orchestra_mcp.council.residents.places import Place, failing_frames
from orchestra_mcp.council.residents.saying import opinion, point, where
from orchestra_mcp.council.residents.scene import cause_in, raises_here, scene_of
from orchestra_mcp.paths import is_test
from orchestra_mcp.types import Claim, Evidence, Opinion, Trace

SEAT = "walker"
CONFIDENCE = 0.5
MAX_STEPS = 4  # frames that are told, from the innermost outwards


async def analyse(case: Case) -> Opinion | None:
    """Walk the traces; without one, start from the quoted message. None when neither leads into this project."""
    lineup, evidence = await case.lineup(), case.evidence
    if lineup.walks:
        return await _from_traces(lineup, evidence)
    if lineup.message is not None:
        return await _from_message(lineup.message[0], lineup.message[1], evidence)
    return None


async def _from_traces(lineup: Lineup, evidence: Evidence) -> Opinion:
    sections: list[tuple[str, list[Claim | str]]] = []
    first = lineup.walks[0]
    suspect = _suspect_place(lineup, first)
    for number, walk in enumerate(lineup.walks):
        why = await _why(walk, evidence, number == 0)
        steps = await _steps(walk, evidence, suspect if number == 0 else None)
        title = _exception(walk.trace) if len(lineup.walks) == 1 else f"Trace {number + 1}: {_exception(walk.trace)}"
        sections.append((f"{title}: the way there", list(steps)))
        sections.append(("What it means there", list(why)))
    ground = meaning(first.trace.language, first.trace.exception, first.trace.message)
    cause = cause_in(sections[1][1])
    check = ground.check if ground else ""
    if cause is not None:
        sections = [("A likely cause: the failing line uses its result", [cause]), *sections]
        position = f"{cause.text} ({cause.path}:{cause.line}); its result is used in {_spot(first.places[0])}"
        position += f", where {first.trace.exception.rsplit('.', 1)[-1] or 'the error'} shows"
    else:
        position = f"{_spot(suspect)} is the first suspect for {_exception(first.trace)}: {_reason(sections[1][1], suspect, first)}"
    return opinion(
        SEAT,
        position=position,
        does="I walked the stack trace through this version of the code; I read syntax, I do not run anything.",
        sections=sections,
        plan=_plan(first, suspect, check, cause),
        risks=_risks(first),
        assumptions=("The trace was produced by code close to the version that is checked out.",),
        would_change="A trace from the checked-out version whose innermost frame of this project is another function.",
        confidence=CONFIDENCE,
    )


def _reason(why: list[Claim | str], suspect: Place, walk: Walk) -> str:
    """Why the suspect, in half a line: what was shown about the failing line, or the suspect's part in the trace."""
    shown = next((item.text for item in why if isinstance(item, Claim)), "")
    if suspect == walk.places[0]:
        return shown or _role(walk, suspect)
    inner = walk.places[0]
    return f"it leads to {_place_name(inner)} ({inner.path}:{inner.line})" + (f": {shown}" if shown else "")


def _suspect_place(lineup: Lineup, walk: Walk) -> Place:
    """The place of the best-ranked function among the trace's own frames."""
    for suspect in lineup.suspects:
        for place in walk.places:
            if place.definition == suspect.definition and not is_test(place.path):
                return place
    return walk.places[0]


async def _steps(walk: Walk, evidence: Evidence, suspect: Place | None) -> list[Claim]:
    claims = []
    told = ([suspect] if suspect is not None else []) + [p for p in walk.places[:MAX_STEPS] if p != suspect]
    for place in told:
        text = f"{_place_name(place)} is {_role(walk, place)} ({place.how})"
        claims.append(await point(evidence, text, place.path, place.line, place.symbol))
    return claims


def _role(walk: Walk, place: Place) -> str:
    if place.inner == 0:
        raised = ", where the exception is raised on purpose" if walk.raises else ""
        return f"the innermost frame of this project in the trace{raised}"
    out = f"{place.inner} own frame{'s' * (place.inner > 1)} further out in the trace"
    return f"{out}, the innermost one that this version still has" if place is walk.places[0] else out


def _spot(place: Place) -> str:
    return f"`{place.symbol}` ({place.path}:{place.line})" if place.symbol else f"`{place.path}:{place.line}`"


def _place_name(place: Place) -> str:
    return f"`{place.symbol}`" if place.symbol else "Code outside any named function"


async def _why(walk: Walk, evidence: Evidence, first: bool) -> list[Claim | str]:
    said: list[Claim | str] = []
    found = meaning(walk.trace.language, walk.trace.exception, walk.trace.message)
    if found is not None and first:
        said.append(f"{walk.trace.exception or _exception(walk.trace)}: {found.means}.")
    innermost = (failing_frames(walk.trace) or (None,))[-1]
    if innermost is not None and not innermost.path:
        said.append(
            "The innermost frame is code outside this project: the error shows there, with what this project passed in."
        )
    elif innermost is not None and not walk.shows:
        said.append(
            f"The innermost frame of this project (`{innermost.path}`) is not in this version as the trace has it."
        )
    else:
        scene = await scene_of(walk.places[0], walk.trace, evidence)
        if scene is not None:
            said += await explain(scene)
    cycle = _cycle(walk)
    if cycle:
        said.append(cycle)
    return said


def _cycle(walk: Walk) -> str:
    counted = Counter(frame.function for frame in walk.trace.frames if frame.function)
    again = [name for name, times in counted.most_common(4) if times >= 3]
    if again and "ecursion" in walk.trace.exception + walk.trace.message:
        return "Functions that recur in the trace: " + ", ".join(f"`{name}`" for name in again) + "."
    return ""


def _plan(walk: Walk, suspect: Place, check: str, cause: Claim | None) -> list[str]:
    spot = f"`{suspect.path}:{suspect.line}`"
    steps = [f"Open {spot} and {check}." if check else f"Open {spot} and read what the failing line depends on."]
    if cause is not None:
        steps.insert(0, f"Open `{cause.path}:{cause.line}`: should `{cause.symbol}` give back a value there?")
    outer = next((place for place in walk.places if place != suspect and not is_test(place.path)), None)
    if outer is not None:
        steps.append(f"If that function is right, look at what `{outer.path}:{outer.line}` passes or receives.")
    steps.append("Write a test that fails with the same exception before changing anything.")
    return steps


def _risks(walk: Walk) -> list[str]:
    risks = ["The frame that fails is where the error shows; its cause may be further out."]
    if not walk.places[0].exact:
        risks.append("The code has changed since the trace: I found the function, not the line.")
    return risks


def _exception(trace: Trace) -> str:
    name = trace.exception.rsplit(".", 1)[-1] or "the error"
    return f"{name}: {trace.message.splitlines()[0][:80]}" if trace.message else name


async def _from_message(words: str, place: Place, evidence: Evidence) -> Opinion:
    told = f"{_place_name(place)} holds the words of the quoted message, “{words[:100]}”"
    first = await point(evidence, told, place.path, place.line, place.symbol)
    claims: list[Claim | str] = [first]
    scene = await scene_of(place, Trace(language=""), evidence)
    guarded = False
    if scene is not None:
        near = next(
            (n for n in trees.walk_at(scene.root, place.line) if n.type in ("raise_statement", "throw_statement")), None
        )
        if near is not None and raises_here(scene) is None:
            place = Place(place.path, trees.line_of(near), place.definition, place.how, True)
            scene = await scene_of(place, Trace(language=""), evidence)
        if scene is not None and raises_here(scene) is not None:
            found = await explain(scene)
            guarded = bool(found)
            claims += found
    if place.definition is not None and place.definition.kind != "class":
        claims += await _callers(place, evidence)
    return opinion(
        SEAT,
        position=f"The quoted message comes from `{place.symbol}` ({place.path}:{place.line})",
        does="There is no stack trace that leads into this project; I looked for the quoted message in the code.",
        sections=[("Where the message comes from", claims)],
        plan=[
            f"Read the condition before `{where(first).strip('`')}` and find which of its inputs is not what you expect."
            if guarded
            else f"Set a breakpoint or log line at `{place.path}:{place.line}` and look who calls it.",
            "Run again with a full stack trace and ask once more with it: then the way there can be walked.",
        ],
        risks=("The function that reports an error is often right, and its caller wrong.",),
        assumptions=("The message was produced by this project and not by a dependency with the same wording.",),
        confidence=CONFIDENCE,
    )


async def _callers(place: Place, evidence: Evidence) -> list[Claim]:
    """Calls by name from other non-test code, when the name is defined only once."""
    definition = place.definition
    if definition is None or definition.name.startswith("__") or len(await evidence.locate(definition.name)) != 1:
        return []
    claims: list[Claim] = []
    for path, line, shown in await evidence.mentions(definition.name, 40):
        inside = path == definition.path and definition.start <= line <= definition.end
        if f"{definition.name}(" not in shown or inside or is_test(path) or len(claims) == 3:
            continue
        around = await evidence.enclosing(path, line)
        if around is not None and around.kind != "class" and await _is_call(path, line, definition.name, evidence):
            claims.append(
                await point(evidence, f"`{around.qualified}` calls `{definition.name}`", path, line, around.qualified)
            )
    return claims


async def _is_call(path: str, line: int, name: str, evidence: Evidence) -> bool:
    syntax = await evidence.syntax(path)
    if syntax is None:
        return False
    return any(n.type in trees.CALLS and trees.callee(n)[1] == name for n in trees.walk_at(syntax.root, line))
