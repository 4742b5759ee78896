"""Trying answers instead of believing them: the mode's checks, programs on shared inputs, patches against parser and tests."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from orchestra_mcp.council.answers.programs import probes_from, probes_of, shared
from orchestra_mcp.council.answers.reading import shorten
from orchestra_mcp.council.modechecks import check_for_mode
from orchestra_mcp.council.room import Room
from orchestra_mcp.council.scales.clustering import same
from orchestra_mcp.telemetry.spans import traced
from orchestra_mcp.types import Behaviour, Check, Claim, Opinion, Probe

MAX_PATCHES = 4
MAX_TESTS = 2
"""Of one review that are run; each may take as long as a program is given."""


@traced("try answers")
async def try_answers(room: Room, opinions: Sequence[Opinion]) -> None:
    """Run what can be run of these answers, and remember what it showed.

    Programs meet the question's own cases and every expert's inputs; when a new expert brings further inputs, all are
    run again. A patch is tried once.
    """
    minutes = room.minutes
    for opinion in opinions:
        if (opinion.seat, opinion.round) not in minutes.found.checks:
            checks = await check_for_mode(opinion, minutes.mode, minutes.dossier, room.evidence)
            notes = [await room.clean(check.note) for check in checks]
            minutes.found.checks[opinion.seat, opinion.round] = tuple(
                check.model_copy(update={"note": note}) for check, note in zip(checks, notes, strict=True)
            )
    if room.workbench is None:
        return
    programs = [opinion for opinion in opinions if opinion.code]
    known = minutes.found.trials
    fresh = dict.fromkeys(o.patch for o in opinions if o.patch and o.patch not in known)
    patches = list(fresh)[:MAX_PATCHES] if room.evidence is not None else []
    if not (programs or patches):
        return
    minutes.stage = "trying the answers"
    room.tell("checking", detail=f"{len(programs)} programs, {len(patches)} patches")
    async with anyio.create_task_group() as group:
        group.start_soon(_run_programs, room, programs)
        for patch in patches:
            group.start_soon(_try_patch, room, patch)


async def try_tests(room: Room, critic: str, held: Sequence[tuple[str, Claim]]) -> list[Claim]:
    """Run a reviewer's tests against the programs that they accuse, at most `MAX_TESTS` of them.

    A failing test is a verified defect only when the program of a third expert passes it, one that does not behave like
    the critic's own: else the test may be what is wrong (programs and tests that confirm each other: CodeT, Chen et al.,
    2022).
    """
    bench, found = room.workbench, room.minutes.found
    programs = {o.seat: o for o in room.minutes.standing() if found.behaviour(o)}
    tests = [claim.test for _, claim in held][:MAX_TESTS]
    probes = [Probe(kind="call", text=test, source=critic) for test in tests]
    outcomes: dict[str, tuple[str, ...]] = {}

    async def run(seat: str, opinion: Opinion) -> None:
        ran = await bench.behave(opinion.code, opinion.language, probes) if bench else None
        outcomes[seat] = ran.outcomes if ran else ()

    async with anyio.create_task_group() as group:
        for seat, opinion in programs.items():
            group.start_soon(run, seat, opinion)
    own = programs.get(critic)
    thirds = [
        seat
        for seat, o in programs.items()
        if seat != critic and not (own and same(own, o, found) == ("executed", True))
    ]
    judged = []
    for number, (candidate, claim) in enumerate(held):
        if candidate not in programs:
            judged.append(_with(claim, "unchecked", "there is no program to run the test on"))
            continue
        if number >= len(probes):
            judged.append(_with(claim, "unchecked", "this reviewer's further tests were not run"))
            continue
        said = {seat: told[number] if number < len(told) else "" for seat, told in outcomes.items()}
        judged.append(_judge(claim, said[candidate], [said[seat] for seat in thirds if seat != candidate]))
    return judged


def _judge(claim: Claim, mine: str, others: Sequence[str]) -> Claim:
    if mine == "UNSTABLE":
        return _with(claim, "unchecked", "the test does not give the same twice")
    if mine == "True":
        return _with(claim, "refuted", "the test passes on this program")
    said = f"the test gives {shorten(mine, 80) or 'nothing'} here"
    if "True" in others:
        return _with(claim, "verified", f"{said}, and passes on a third expert's program")
    return _with(claim, "unchecked", f"{said}, and passes on no third expert's program")


async def _run_programs(room: Room, programs: Sequence[Opinion]) -> None:
    bench, found = room.workbench, room.minutes.found
    if bench is None or not programs:
        return
    given = [probe for opinion in programs for probe in probes_from(opinion.inputs, opinion.seat)]
    # By their text, so that the order in which experts answered changes nothing.
    given.sort(key=lambda probe: (probe.kind, probe.text))
    probes = shared((*probes_of(room.minutes.question.text), *given))
    again = probes != found.probes
    wanted = {o.code: o.language for o in programs if again or o.code not in found.behaviours}
    ran: dict[str, Behaviour | None] = {}

    async def run(code: str, language: str) -> None:
        ran[code] = await bench.behave(code, language, probes)

    if probes:
        async with anyio.create_task_group() as group:
            for code, language in wanted.items():
                group.start_soon(run, code, language)
    if again:
        found.behaviours.clear()  # what was seen on other inputs cannot be compared
    for code, language in wanted.items():
        behaviour = ran.get(code)
        # A package that is not installed here says nothing of the program.
        if behaviour and (behaviour.loaded or not behaviour.note.startswith("needs ")):
            found.behaviours[code] = behaviour
        else:
            found.behaviours.pop(code, None)
            found.forms[code] = await bench.normal_form(code, language)
    found.probes = probes
    if probes and bench.refusal and bench.refusal not in room.minutes.notes:
        room.minutes.notes.append(bench.refusal)


async def _try_patch(room: Room, patch: str) -> None:
    if room.workbench is not None:
        room.minutes.found.trials[patch] = await room.workbench.try_patch(patch)


def _with(claim: Claim, outcome: str, note: str) -> Claim:
    return claim.model_copy(update={"check": Check.model_validate({"outcome": outcome, "note": note})})
