"""Trying answers instead of believing them: the mode's checks, programs on shared inputs, patches against parser and tests."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from orchestra_mcp.council.answers.programs import probes_from, probes_of, shared
from orchestra_mcp.council.modechecks import check_for_mode
from orchestra_mcp.council.room import Room
from orchestra_mcp.types import Behaviour, Check, Claim, Opinion, Probe

MAX_PATCHES = 4


async def try_answers(room: Room, opinions: Sequence[Opinion]) -> None:
    """Run what can be run of these answers, and remember what it showed.

    Programs meet the question's own cases and every expert's inputs; when a new expert brings further inputs, all are
    run again. A patch is tried once.
    """
    minutes = room.minutes
    for opinion in opinions:
        if opinion.seat not in minutes.found.checks:
            checks = await check_for_mode(opinion, minutes.mode, minutes.dossier, room.evidence)
            notes = [await room.clean(check.note) for check in checks]
            minutes.found.checks[opinion.seat] = tuple(
                check.model_copy(update={"note": note}) for check, note in zip(checks, notes, strict=True)
            )
    if room.workbench is None:
        return
    programs = [opinion for opinion in opinions if opinion.code]
    patches = [o for o in opinions if o.patch and o.seat not in minutes.found.trials][:MAX_PATCHES]
    if not (programs or patches):
        return
    minutes.stage = "trying the answers"
    room.tell("checking", detail=f"{len(programs)} programs, {len(patches)} patches")
    async with anyio.create_task_group() as group:
        group.start_soon(_run_programs, room, programs)
        for opinion in patches:
            group.start_soon(_try_patch, room, opinion)


async def try_test(room: Room, candidate: str, claim: Claim) -> Claim:
    """Run a reviewer's test against the accused program.

    A failing test is a verified defect only when another expert's program passes it: otherwise the test may be what is
    wrong (programs and tests that confirm each other: CodeT, Chen et al., 2022).
    """
    found = room.minutes.found
    programs = {o.seat: o for o in room.minutes.standing() if o.code and o.seat in found.behaviours}
    if room.workbench is None or candidate not in programs:
        return _with(claim, "unchecked", "there is no program to run the test on")
    probe = Probe(kind="call", text=claim.test, source="review")
    outcomes: dict[str, str] = {}
    for seat, opinion in programs.items():
        ran = await room.workbench.behave(opinion.code, opinion.language, [probe])
        outcomes[seat] = ran.outcomes[0] if ran and ran.outcomes else ""
    mine = outcomes.pop(candidate)
    if mine == "True":
        return _with(claim, "refuted", "the test passes on this program")
    if any(outcome == "True" for outcome in outcomes.values()):
        return _with(
            claim, "verified", f"the test gives {mine or 'nothing'} here, and passes on another expert's program"
        )
    return _with(claim, "unchecked", f"the test gives {mine or 'nothing'} here, and passes on no program at all")


async def _run_programs(room: Room, programs: Sequence[Opinion]) -> None:
    bench, found = room.workbench, room.minutes.found
    if bench is None or not programs:
        return
    given = [probe for opinion in programs for probe in probes_from(opinion.inputs, opinion.seat)]
    # By their text, so that the order in which experts answered changes nothing.
    given.sort(key=lambda probe: (probe.kind, probe.text))
    probes = shared((*probes_of(room.minutes.question.text), *given))
    again = probes != found.probes
    wanted = [opinion for opinion in programs if again or opinion.seat not in found.behaviours]
    ran: dict[str, Behaviour | None] = {}

    async def run(opinion: Opinion) -> None:
        ran[opinion.seat] = await bench.behave(opinion.code, opinion.language, probes)

    if probes:
        async with anyio.create_task_group() as group:
            for opinion in wanted:
                group.start_soon(run, opinion)
    for opinion in wanted:
        behaviour = ran.get(opinion.seat)
        # A package that is not installed here says nothing of the program.
        if behaviour and (behaviour.loaded or not behaviour.note.startswith("needs ")):
            found.behaviours[opinion.seat] = behaviour
        else:
            found.behaviours.pop(opinion.seat, None)
            found.forms[opinion.seat] = await bench.normal_form(opinion.code, opinion.language)
    found.probes = probes
    if probes and bench.refusal and bench.refusal not in room.minutes.notes:
        room.minutes.notes.append(bench.refusal)


async def _try_patch(room: Room, opinion: Opinion) -> None:
    if room.workbench is not None:
        room.minutes.found.trials[opinion.seat] = await room.workbench.try_patch(opinion.patch)


def _with(claim: Claim, outcome: str, note: str) -> Claim:
    return claim.model_copy(update={"check": Check.model_validate({"outcome": outcome, "note": note})})
