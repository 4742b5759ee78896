"""Redaction in the whole house: whatever a model, a repository, a caller or an old record says, no secret goes on."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import git
from scripting import expert, kind_of
from upstream import Expert, Upstream

from orchestra_mcp.app import Orchestra
from orchestra_mcp.cli import terminal
from orchestra_mcp.context.collector import collect
from orchestra_mcp.context.evidence import ProjectEvidence
from orchestra_mcp.context.secrecy.redaction import Redactor, secret_values
from orchestra_mcp.council.answers.cleaning import clean_all, clean_reply
from orchestra_mcp.council.answers.reading import ANSWER_KEYS, POSITION_KEYS, read_opinion
from orchestra_mcp.report import transcript, verdict_report
from orchestra_mcp.settings import Privacy, Settings, narrow
from orchestra_mcp.types import Claim, Event, Observer, Question

SOURCES = Path(__file__).parent.parent / "orchestra_mcp"
TOKEN = "ghp_7rQx7Zt9Lm2Vb4Kw8Rn3Pj6Hd5Sg1Fc0TyWq"
"""In a known format, and in no file: a model invents it."""
ENV = "Tr0ub4dor-eleven"
"""Of a `.env` file; no rule would know it."""
BODY = [
    "MIIEpAIBAAKCAQEAx7Qm2Vb4Kw8Rn3Pj6Hd5Sg1Fc0TyWqZt9Lm2Vb4Kw8Rn3Pj6",
    "Hd5Sg1Fc0TyWqZt9LmK8s7D6f5G4h3J2k1L0zXcVbNmQwErTyUiOpAsDfGhJkLz",
]
PEM = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *BODY, "-----END RSA PRIVATE KEY-----"])
SECRETS = (TOKEN[6:], ENV, *(line[8:40] for line in BODY))
SAYS = "read_lines drops the last record"


@asynccontextmanager
async def council(
    experts: Mapping[str, Expert], environ: dict[str, str], config: str = ""
) -> AsyncIterator[tuple[Orchestra, Upstream]]:
    with Upstream(dict(experts)) as upstream:
        file = Path(environ["HOME"]) / "orchestra.toml"
        file.write_text(f"discover = false\n{config}\n{upstream.models_toml()}")
        async with Orchestra.open({**environ, "ORCHESTRA_CONFIG": str(file)}) as orchestra:
            yield orchestra, upstream


class House:
    """What a consultation left behind, everywhere it could be seen."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.home = Path(environ["ORCHESTRA_HOME"])
        self.events: list[Event] = []
        self.texts: dict[str, str] = {}

    async def ask(self, orchestra: Orchestra, upstream: Upstream, **asked: Any) -> Any:
        verdict = await orchestra.ask(Question(**asked), self.events.append)
        kept = await orchestra.consultation(verdict.id)
        self.texts = {
            "prompts": json.dumps([call.body for call in upstream.calls], ensure_ascii=False),
            "report": verdict_report(verdict, "full"),
            "transcript": transcript(kept),
            "json": verdict.model_dump_json() + kept.model_dump_json(),
            "events": repr(self.events),
        }
        return verdict

    def seen(self, secret: str) -> list[str]:
        """Where a secret can be seen."""
        stored = b"".join(file.read_bytes() for file in self.home.rglob("*") if file.is_file())
        places = [name for name, text in self.texts.items() if secret in text]
        return [*places, *(["store"] if secret.encode() in stored else [])]


def opinion(**fields: Any) -> str:
    return json.dumps({"position": SAYS, "answer": f"Because {SAYS}, and that is the bug.", **fields})


ZERO_WIDTH = "\u200b".join((TOKEN[:9], TOKEN[9:]))
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in TOKEN)
REPLIES = {
    "in the answer": opinion(answer=f"The reason is in the log: use {TOKEN} and it works."),
    "in every other field": opinion(
        plan=[f"Set {TOKEN}", "Run it"], risks=[ENV], assumptions=[f"that {ENV} is right"], inputs=[TOKEN],
        would_change_my_mind=TOKEN, patch=f"--- a\n+++ b\n@@ -1 +1 @@\n+x = '{TOKEN}'\n",
        evidence=[{"claim": f"it holds {ENV}", "path": f"src/{TOKEN}.py", "line": 3, "quote": TOKEN, "symbol": TOKEN}],
    ),
    "a private key with escaped line ends": opinion(answer=f"It is the key:\n{PEM}\nso renew it."),
    "a private key as a list of lines": opinion(answer=["It is the key, so renew it:", *PEM.split("\n")]),
    "half of a private key, and more fields": opinion(answer=f"It is the key:\n{PEM[:120]}", plan=["Renew it"]),
    "in JSON escapes": opinion(answer="MARK is the key and that is it").replace("MARK", ESCAPED),
    "in JSON escapes in the position": opinion(position="the token MARK is wrong").replace("MARK", ESCAPED),
    "split by invisible signs": opinion(answer=f"The reason is {ZERO_WIDTH} and that is it."),
    "where the position is cut": opinion(position=f"{'the file is not read to the end and ' * 6} {TOKEN}"),
    "as keys and values of a table": opinion(answer={"why it fails": "the key is old", TOKEN: ENV}),
    "behind a known name": opinion(answer={"the reason is": "the password is old", "API_TOKEN": "x", "is": TOKEN}),
    "prose": f"The reason is that the log has {TOKEN} in it.\n\n{PEM}\n\nThat is why read_lines is wrong: {ENV}.",
    "prose with emphasis inside": f"The token is `{TOKEN[:9]}`{TOKEN[9:]} and that is why the read_lines function fails.",
    "broken JSON": opinion(answer=f"The reason is {TOKEN} in the log.")[:-1] + ",}",
    "a fence": f"Here it is:\n```json\n{opinion(answer=f'The reason is {TOKEN} in the log.')}\n```",
    "a quote behind a password": opinion(answer=f'It is "password={ENV}" and "https://u:{TOKEN}@h/" that is wrong.'),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
async def test_a_secret_that_a_model_repeats_or_invents_goes_nowhere(
    repo: Path, environ: dict[str, str], name: str
) -> None:
    (repo / ".env").write_text(f"DB_PASSWORD={ENV}\n")
    others = {n: Expert(expert(f"{n} says that something else is broken there")) for n in ("bob", "cy")}
    house = House(environ)
    talker = Expert(lambda prompt, _: REPLIES[name] if kind_of(prompt) == "opinion" else opinion(ranking=["A", "B"]))
    async with council({"ada": talker, **others}, environ) as (orchestra, upstream):
        await house.ask(orchestra, upstream, text="Why does read_lines fail?", project=str(repo), effort="deep")
        kept = await orchestra.consultation("latest")
    said = [one for one in kept.opinions if one.seat == "ada"]
    assert said, kept.absences
    assert not {secret: house.seen(secret) for secret in SECRETS if house.seen(secret)}
    assert "«redacted:" in said[0].model_dump_json()
    assert {call.expert for call in upstream.calls if kind_of(call.prompt) == "review"}, "nobody was shown the reply"
    if name.startswith("half of"):
        assert said[0].plan == ("Renew it",), "a cut key takes nothing along that stands behind it"
    if name == "a quote behind a password":
        assert "that is wrong" in said[0].answer


@pytest.mark.parametrize("name", [name for name in REPLIES if not name.startswith("prose")])
async def test_a_reply_without_its_secrets_can_still_be_read(name: str) -> None:
    redactor = Redactor([ENV])

    async def clean(text: str) -> str:
        return redactor.redact(text)

    text = await clean_reply(REPLIES[name], (*POSITION_KEYS, *ANSWER_KEYS), clean)
    before = read_opinion(REPLIES[name], frozenset({"read_lines"}))
    after = read_opinion(text, frozenset({"read_lines"}))
    assert after.keys() == before.keys()
    assert [len(after[field]) for field in ("claims", "plan", "risks")] == [
        len(before[field]) for field in ("claims", "plan", "risks")
    ]
    assert not any(secret in text for secret in SECRETS)


async def test_strings_go_back_to_where_they_were_although_secrets_had_several_lines() -> None:
    redactor = Redactor()

    async def clean(text: str) -> str:
        return redactor.redact(text)

    value = {"a": f"one\n{PEM}\ntwo", "b": ["", "x\n", Claim(text="c", path="d", quote=TOKEN)], "e": 3, "f": None}
    cleaned = await clean_all(value, clean)
    assert re.fullmatch(r"one\n«redacted:private-key#1»\n+two", cleaned["a"])
    assert cleaned["b"] == ["", "x\n", Claim(text="c", path="d", quote="«redacted:github-token#1»")]
    assert (cleaned["e"], cleaned["f"]) == (3, None)


@pytest.mark.parametrize("depth", [50, 400, 900, 5_000])
async def test_json_without_an_end_of_nesting_costs_its_author_the_answer_and_nobody_else(
    environ: dict[str, str], depth: int
) -> None:
    deep = Expert('{"answer": ' + '{"a": ' * depth + f'"{TOKEN}"' + "}" * (depth + 1))
    house = House(environ)
    async with council({"ada": deep, "bob": Expert(expert(SAYS))}, environ) as (orchestra, upstream):
        verdict = await house.ask(orchestra, upstream, text="Why is it so?")
    assert "bob" in verdict.answered
    assert not house.seen(TOKEN[6:])


async def test_reviewers_and_the_chair_are_cleaned_as_well(repo: Path, environ: dict[str, str]) -> None:
    (repo / ".env").write_text(f"DB_PASSWORD={ENV}\n")

    def says(name: str) -> Any:
        def reply(prompt: str, _: int) -> str:
            if kind_of(prompt) == "review":
                defect = {"candidate": "A", "claim": f"it forgets {TOKEN}", "path": "src/parser.py", "line": 3}
                return json.dumps({"ranking": ["A", "B"], "why": f"it is {ENV}", "defects": [defect]})
            if kind_of(prompt) == "chair":
                return opinion(answer=f"The synthesis is that {TOKEN} and {ENV} are wrong.", plan=[f"Revoke {TOKEN}"])
            return opinion(position=f"{name} says that it is something else that is broken")

        return reply

    house = House(environ)
    async with council({n: Expert(says(n)) for n in ("ada", "bob", "cy")}, environ) as (orchestra, upstream):
        verdict = await house.ask(
            orchestra, upstream, text="Why does read_lines fail?", project=str(repo), effort="deep"
        )
        kept = await orchestra.consultation("latest")
    assert kept.ballots
    assert "«redacted:" in kept.ballots[0].why
    assert kept.ballots[0].defects
    assert {kind_of(call.prompt) for call in upstream.calls} == {"opinion", "compare", "review", "chair"}
    assert verdict.chair
    assert not {secret: house.seen(secret) for secret in SECRETS if house.seen(secret)}


async def test_a_reply_that_is_asked_for_again_is_shown_to_its_author_without_secrets(environ: dict[str, str]) -> None:
    house = House(environ)
    unreadable = f"{TOKEN} zzkq wvxq qqzk vvkx jjqz xxkw zzvq {TOKEN} kkzx"
    async with council({"ada": Expert([unreadable, opinion()])}, environ) as (orchestra, upstream):
        await house.ask(orchestra, upstream, text="Why is it so?")
    assert len(upstream.calls) == 2
    assert "zzkq" in upstream.calls[1].prompt
    assert not house.seen(TOKEN[6:])


async def test_a_vendor_s_error_that_quotes_the_project_is_cleaned(repo: Path, environ: dict[str, str]) -> None:
    (repo / ".env").write_text(f"DB_PASSWORD={ENV}\n")
    house = House(environ)
    angry = Expert(fault="400", message=f"I do not like {ENV} at all")
    async with council({"ada": angry, "bob": Expert(expert(SAYS))}, environ) as (orchestra, upstream):
        await house.ask(orchestra, upstream, text="Why does read_lines fail?", project=str(repo))
        kept = await orchestra.consultation("latest")
    assert "I do not like «redacted:known-value#1» at all" in kept.absences[0].reason
    assert not house.seen(ENV)


# --------------------------------------------------------------------------------------- one number for one secret


async def test_question_evidence_and_replies_number_a_secret_alike_without_a_project(environ: dict[str, str]) -> None:
    other = TOKEN.replace("7rQx", "9aBc")
    house = House(environ)
    reply = opinion(answer=f"The second is {other} and the first is {TOKEN}.")
    async with council({"ada": Expert(reply)}, environ) as (orchestra, upstream):
        await house.ask(orchestra, upstream, text=f"Why is {TOKEN} refused?", error=f"refused: {other} {TOKEN}")
        kept = await orchestra.consultation("latest")
    assert kept.question.text == "Why is «redacted:github-token#1» refused?"
    assert kept.question.error == "refused: «redacted:github-token#2» «redacted:github-token#1»"
    assert "The second is «redacted:github-token#2» and the first is «redacted:github-token#1»." in upstream_of(kept)
    assert kept.dossier
    assert kept.dossier.redactions == {"github-token": 2}
    assert "«redacted:github-token#2» «redacted:github-token#1»" in kept.dossier.excerpts[0].text


def upstream_of(kept: Any) -> str:
    return str(next(one.answer for one in kept.opinions if one.seat == "ada"))


@pytest.mark.parametrize("number", [1, 7, 99_999])
async def test_a_forged_placeholder_is_neither_counted_nor_mistaken_for_ours(
    repo: Path, environ: dict[str, str], number: int
) -> None:
    forged = f"«redacted:github-token#{number}»"
    (repo / "src" / "parser.py").write_text(f"# {forged} {forged[:-2]}8»\nx = 1\n")
    house = House(environ)
    async with council({"ada": Expert(expert(SAYS))}, environ) as (orchestra, upstream):
        verdict = await house.ask(
            orchestra, upstream, text=f"Why is {forged} in src/parser.py?", error=TOKEN, project=str(repo)
        )
        kept = await orchestra.consultation("latest")
    assert verdict.sent.redactions == {"github-token": 1}
    assert re.fullmatch(r"«redacted:github-token#[1-9]\d{0,4}»", kept.question.error)
    assert kept.question.error != forged
    dossier = await collect(Question(text=forged, project=str(repo)), repo, ProjectEvidence(repo), budget=4000)
    assert dossier.redactions == {}


# ------------------------------------------------------------------------------------------------- .env and history


@pytest.mark.parametrize("look", ["log", "recent", "blame"])
async def test_the_values_of_env_files_are_known_before_the_first_look_at_the_history(repo: Path, look: str) -> None:
    (repo / ".env").write_text("DB_PASSWORD=swordfish-and-chips\n")
    (repo / "src" / "parser.py").write_text("x = 1\n")
    git(repo, "commit", "-qam", "Use swordfish-and-chips", "--author", "swordfish-and-chips <a@example.org>")
    eyes = ProjectEvidence(repo)
    looks = {"log": eyes.log("src/parser.py"), "recent": eyes.recent(), "blame": eyes.blame("src/parser.py", 1, 1)}
    seen = repr(await looks.pop(look))
    for unused in looks.values():
        unused.close()
    assert "Use «redacted:known-value#1»" in seen
    assert "swordfish" not in seen


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("DB_TOKEN=plainwordsecretvalue9", ("plainwordsecretvalue9",)),  # filler words, but not only
        ("DB_PASSWORD=swordfish", ("swordfish",)),  # one word, but whose name leaves no doubt
        ("MAIL_PW=hunter2", ("hunter2",)),
        ("DB_PASSWORD_PROD=blauerElefant", ("blauerElefant",)),
        ("SECRET_KEY=changeme123", ("changeme123",)),
        ("TENANT=550e8400-e29b-41d4-a716-446655440000", ("550e8400-e29b-41d4-a716-446655440000",)),
        ("URL=amqp://me:pw4you@mq/", ("amqp://me:pw4you@mq/", "pw4you")),
        ("DB_PASSWORD=abc", ()),  # very short
        ("DB_PASSWORD=ledger", ()),
        ("DB_PASSWORD=12345678", ()),
        ("USE_PASSWORD=true", ()),
        ("API_TOKEN=${OTHER_TOKEN}", ()),
        ("API_TOKEN=<your token>", ()),
        *(
            (f"API_SECRET={word}", ())
            for word in ("localhost", "production", "debug", "development", "your-secret-key")
        ),
        ("TOKEN_HASH_SECRET=sha256", ()),
        ("AUTH_PROVIDER=keycloak", ()),  # only sounds like a secret
        ("PRIVATE_KEY_PATH=/etc/keys/one.pem", ()),
        ("TOKEN_URL=https://login.example.com/oauth", ()),
        ("DB_USER=ledgerapp\nDB_PASSWORD=ledgerapp", ()),  # no secret to whoever knows the user
        ("NAME=ledger-service", ()),
    ],
)
def test_a_value_of_an_env_file_is_hidden_whatever_it_looks_like_unless_it_is_none(
    line: str, hidden: tuple[str, ...]
) -> None:
    assert secret_values(line) == hidden
    redactor = Redactor()
    redactor.learn(hidden, sure=True)
    text = "".join(f"a '{value}' b\n" for value in hidden)
    assert not any(value in redactor.redact(text) for value in hidden)


async def test_a_developer_s_password_that_is_the_project_s_name_hides_no_path(tmp_path: Path) -> None:
    root = tmp_path / "bookkeeper"
    (root / "bookkeeper").mkdir(parents=True)
    (root / "bookkeeper" / "a.py").write_text("x = 1\n")
    (root / ".env").write_text("DB_PASSWORD=bookkeeper\n")
    assert await ProjectEvidence(root).files() == ("bookkeeper/a.py",)


async def test_what_was_kept_before_a_secret_was_known_is_cleaned_when_it_is_continued(
    repo: Path, environ: dict[str, str]
) -> None:
    house = House(environ)
    async with council({"ada": Expert(expert(f"the {ENV} is the reason"))}, environ) as (orchestra, upstream):
        first = await orchestra.ask(Question(text=f"Why is {ENV} refused?", project=str(repo)))
        assert ENV in upstream.calls[0].prompt, "nothing told yet that it is a secret"
        (repo / ".env").write_text(f"DB_PASSWORD={ENV}\n")
        upstream.calls.clear()
        await house.ask(orchestra, upstream, text="And now, why is that?", project=str(repo), continues=first.id)
        kept = await orchestra.consultation("latest")
    assert "Why is «redacted:known-value#1» refused?" in upstream.calls[0].prompt
    assert ENV not in house.texts["prompts"] + house.texts["json"] + house.texts["transcript"]
    assert kept.dossier
    assert [turn.question for turn in kept.dossier.history] == ["Why is «redacted:known-value#1» refused?"]


async def test_numbers_of_earlier_turns_are_not_given_to_other_secrets(environ: dict[str, str]) -> None:
    async with council({"ada": Expert(expert(SAYS))}, environ) as (orchestra, upstream):
        first = await orchestra.ask(Question(text=f"Why is {TOKEN} refused?"))
        await orchestra.ask(Question(text=f"And {TOKEN[::-1]} ghp_{TOKEN[:3:-1]}?", continues=first.id))
    prompt = upstream.calls[-1].prompt
    assert "Why is «redacted:github-token#1» refused?" in prompt
    assert "«redacted:github-token#2»" in prompt


# ------------------------------------------------------------------------------- notes, settings and source maps


async def test_a_project_s_settings_cannot_put_a_secret_into_the_notes(repo: Path, environ: dict[str, str]) -> None:
    (repo / "orchestra.toml").write_text(f'{TOKEN} = 1\n"{ENV}" = 2\n')
    (repo / ".env").write_text(f"DB_PASSWORD={ENV}\n")
    house = House(environ)
    async with council({"ada": Expert(expert(SAYS))}, environ) as (orchestra, upstream):
        verdict = await house.ask(orchestra, upstream, text="Why does read_lines fail?", project=str(repo))
        warnings = (await orchestra.status(str(repo))).warnings
    assert any("may only narrow; ignored: «redacted:" in note for note in verdict.notes)
    assert not house.seen(TOKEN[6:]) + house.seen(ENV)
    assert TOKEN not in repr(warnings)


async def test_of_a_source_map_only_places_and_clean_names_come_out(repo: Path) -> None:
    """The map says: line 1, column 1 of the bundle is line 1, column 1 of the first source, by the first name."""
    bundle = {
        "version": 3, "sources": ["../src/cart.js"], "names": [TOKEN], "mappings": "AAAAA",
        "sourcesContent": [f"const plain = 'KEPT_OUT_OF_GIT'; const t = '{TOKEN}';"],
    }  # fmt: skip
    (repo / "src" / "cart.js").write_text("export function total() {\n  return 1\n}\n")
    (repo / ".gitignore").write_text("dist/\n")
    (repo / "dist").mkdir()
    (repo / "dist" / "shop.js").write_text("x()\n//# sourceMappingURL=shop.js.map\n")
    (repo / "dist" / "shop.js.map").write_text(json.dumps(bundle))
    error = "TypeError: x is not a function\n    at dist/shop.js:1:1\n"
    question = Question(text="Why does the shop fail?", error=error, project=str(repo))
    dossier = await collect(question, repo, ProjectEvidence(repo), budget=4000)
    frame = dossier.traces[0].frames[0]
    assert (frame.path, frame.line) == ("src/cart.js", 1)
    assert frame.function == "«redacted:github-token#1»"
    assert "KEPT_OUT_OF_GIT" not in dossier.model_dump_json()
    assert TOKEN[6:] not in dossier.model_dump_json()


# ------------------------------------------------------------------------------------------------------------ logs


def test_what_servers_log_has_no_secrets_in_it(tmp_path: Path) -> None:
    code = (
        "import logging, os\n"
        "from orchestra_mcp.tools.stdio import log_to_stderr\n"
        "log_to_stderr(os.environ)\n"
        "try:\n"
        f"    raise ValueError('not {TOKEN} and not {ENV}')\n"
        "except ValueError:\n"
        f"    logging.getLogger('asyncio').exception('stopped at %s', '{TOKEN}')\n"
    )
    (tmp_path / "keys.env").write_text(f"SOME_KEY={ENV}\n")
    (tmp_path / "keys.env").chmod(0o600)
    environ = {**os.environ, "ORCHESTRA_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert 'error="ValueError at <string>:5"' in done.stderr  # where, and not what it said
    assert TOKEN[6:] not in done.stderr
    assert ENV not in done.stderr


async def test_the_traceback_of_a_watcher_that_fails_is_logged_without_the_project_s_secrets(
    repo: Path, environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (repo / ".env").write_text(f"DB_PASSWORD={ENV}\n")

    def watch(event: Event) -> None:
        if event.kind == "collected":
            raise ValueError(f"cannot show {ENV} and {TOKEN}")

    watcher: Observer = watch
    with caplog.at_level(logging.ERROR):
        async with council({"ada": Expert(expert(SAYS))}, environ) as (orchestra, _):
            await orchestra.ask(Question(text="Why does read_lines fail?", project=str(repo)), watcher)
    assert "ValueError at" in caplog.text
    assert "cannot show" not in caplog.text
    assert ENV not in caplog.text
    assert TOKEN not in caplog.text


# --------------------------------------------------------------------------------------------------- personal data


MAIL, PHONE = "ada.lovelace@analytical-engines.io", "+44 20 7946 0958"
PERSONAL = "[privacy]\nredact_personal = true\n"


async def test_personal_data_stays_here_when_that_is_asked_for(repo: Path, environ: dict[str, str]) -> None:
    (repo / "src" / "parser.py").write_text(f"OWNER = '{MAIL}'\n\n\ndef read_lines(path):\n    return OWNER\n")
    house = House(environ)
    reply = opinion(answer=f"The reason is that grace@navy-computing.org and {MAIL} wrote it.")
    async with council({"ada": Expert(reply)}, environ, PERSONAL) as (orchestra, upstream):
        verdict = await house.ask(
            orchestra, upstream, text=f"Why does read_lines fail for {MAIL}, {PHONE}?", project=str(repo), error=TOKEN
        )
        restore = orchestra.personal(verdict.id)
    for secret in (MAIL, PHONE, "grace@navy-computing.org", TOKEN[6:]):
        assert not house.seen(secret)
    assert verdict.sent.redactions == {"email": 1, "github-token": 1, "phone": 1}
    assert f"The reason is that grace@navy-computing.org and {MAIL} wrote it." in restore(house.texts["report"])
    assert TOKEN not in restore(house.texts["transcript"])
    assert "«redacted:github-token#1»" in restore(house.texts["transcript"])


async def test_personal_data_is_left_alone_by_default(environ: dict[str, str]) -> None:
    async with council({"ada": Expert(expert(SAYS))}, environ) as (orchestra, upstream):
        await orchestra.ask(Question(text=f"Why does it fail for {MAIL}?"))
    assert MAIL in upstream.calls[0].prompt


def test_a_project_may_ask_for_it_and_may_not_switch_it_off(tmp_path: Path) -> None:
    (tmp_path / "orchestra.toml").write_text("[privacy]\nredact_personal = true\n")
    assert narrow(Settings(), tmp_path).privacy.redact_personal
    (tmp_path / "orchestra.toml").write_text("[privacy]\nredact_personal = false\ndeny = ['acme']\n")
    now = narrow(Settings(privacy=Privacy(redact_personal=True)), tmp_path)
    assert now.privacy == Privacy(deny=("acme",), redact_personal=True)
    assert now.warnings == ()


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_the_terminal_shows_personal_data_again_and_nothing_else_does(repo: Path, environ: dict[str, str]) -> None:
    """A pipe may lead to another model, so only a terminal counts as the person at this machine."""
    import pty

    reply = opinion(answer=f"The reason is that {MAIL} wrote it, with {TOKEN} in it.")
    with Upstream({"ada": Expert(reply)}) as upstream:
        file = Path(environ["HOME"]) / "orchestra.toml"
        file.write_text(f"discover = false\n{PERSONAL}{upstream.models_toml()}")
        command = [sys.executable, "-m", "orchestra_mcp.cli", "ask", f"Why does it fail for {MAIL}?", "--quiet"]
        env = {**environ, "ORCHESTRA_CONFIG": str(file), "TERM": "dumb", "COLUMNS": "200"}
        command[1:3] = ["-c", "import sys; from orchestra_mcp.cli import main; sys.exit(main())"]
        piped = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, check=True)
        as_json = subprocess.run([*command, "--json"], cwd=repo, env=env, capture_output=True, text=True, check=True)
        outer, inner = pty.openpty()
        child = subprocess.Popen(command, cwd=repo, env=env, stdin=inner, stdout=inner, stderr=subprocess.PIPE)
        os.close(inner)
        shown = b""
        while True:
            try:
                piece = os.read(outer, 65_536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            if not piece:
                break
            shown += piece
        os.close(outer)
        complaints = child.communicate()[1]
    screen = shown.decode()
    assert f"The reason is that {MAIL} wrote it" in screen, complaints.decode()
    assert "«redacted:github-token#1»" in screen
    assert TOKEN[6:] not in screen
    for said in (piped.stdout, as_json.stdout, piped.stderr, complaints.decode()):
        assert MAIL not in said
        assert TOKEN[6:] not in said
    assert "«redacted:email#1»" in piped.stdout
    assert MAIL.encode() not in b"".join(f.read_bytes() for f in Path(environ["ORCHESTRA_HOME"]).rglob("*.db*"))


def test_a_document_for_programs_is_never_restored(capsys: pytest.CaptureFixture[str]) -> None:
    desk = terminal.Desk(as_json=True)
    desk.restore = lambda text: text.replace("«redacted:email#1»", MAIL)
    desk.document({"answer": "«redacted:email#1»"})
    desk.markdown("«redacted:email#1»")
    desk.text("«redacted:email#1»")
    desk.fail("kind", "«redacted:email#1»")
    assert MAIL not in capsys.readouterr().out


def test_nobody_but_the_command_line_can_restore() -> None:
    """No tool, store, report or log has a way to it: the names occur nowhere else."""
    users = {
        file.relative_to(SOURCES).as_posix()
        for file in SOURCES.rglob("*.py")
        if re.search(r"\.restore\b|\.personal\(", file.read_text("utf-8"))
    }
    assert users == {"app/__init__.py", "cli/asking.py", "cli/terminal.py"}
