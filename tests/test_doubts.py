"""Settings that can never work: an error when the models are the settings' own, a warning when they were found."""

from __future__ import annotations

import tomllib

import pytest

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.gateway import open_http
from orchestra_mcp.gateway.roster import Roster
from orchestra_mcp.settings import Keys, Settings

MODELS = """
[models.sol]
base_url = "https://llm.example.com/v1"
model = "sol-1"
"""
FAULTS = [
    ('[routes.r]\ntargets = ["moon"]', r"\[routes\.r\] names 'moon', which is not a model"),
    ('[gateway.aliases]\na = "gone"', r"\[gateway\] a stands for 'gone'"),
    ('[gateway.aliases]\na = "b"\nb = "a"', r"\[gateway\] a stands for 'b'"),
    ('[gateway]\ndefault = "gone"', r"\[gateway\] default stands for 'gone'"),
    ('[routes.sol]\ntargets = ["sol"]', r"\[routes\.sol\] is never asked: a model has the same name"),
    ('[gateway.aliases]\nsol = "code"', r"\[gateway\.aliases\] 'sol' is never asked"),
    ('[routes.r]\n[gateway.aliases]\nr = "sol"', r"\[routes\.r\] is never asked: an alias"),
    ('[[budgets]]\nper = "model"\nname = "moon"\nusd = 1', r"\[\[budgets\]\] 1 is for the model 'moon'"),
    ('[[rate_limits]]\nper = "key"', r"\[\[rate_limits\]\] 1 limits nothing"),
    ('[[rate_limits]]\nper = "model"\nname = "mo*"\nconcurrent = 1', r"\[\[rate_limits\]\] 1 is for the model 'mo\*'"),
    ('[embedding]\nengine = "provider"\nmodel = "moon"', r"\[embedding\] model names 'moon'"),
    (
        '[routes.r]\ntargets = ["sol"]\n[[routes.r.rules]]\nwhen = { intent = ["law"] }\ndeny = "no"',
        r"\[\[routes\.r\.rules\]\] 1 asks for intent 'law'.*never fit",
    ),
    ('[routes.r]\ntargets = ["sol", "sol"]', r"\[routes\.r\] targets: 'sol' stands there 2 times"),
    ("[[budgets]]\nusd = 1\n[[budgets]]\nusd = 2", r"\[\[budgets\]\]: 'all \* day' stands there 2 times"),
]


async def ready(text: str) -> Roster:
    async with open_http() as http:
        roster = Roster(Settings.model_validate(tomllib.loads(text)), Keys({}), http)
        await roster.ready()
        return roster


@pytest.mark.parametrize(("text", "said"), FAULTS)
async def test_it_is_said_when_the_models_are_first_needed(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        await ready(MODELS + text)


async def test_what_can_work_is_taken() -> None:
    text = """
[routes.r]
targets = ["sol", "groq/openai/gpt-oss-120b"]
[[routes.r.rules]]
when = { intent = ["law"] }
deny = "no"
[intents]
law = ["May I sue?"]
[gateway]
default = "code"
[gateway.aliases]
a = "b"
b = "r"
[[budgets]]
per = "model"
name = "s*"
usd = 1
[[budgets]]
per = "model"
name = "groq/openai/gpt-oss-120b"
usd = 1
[[budgets]]
per = "key"
name = "ci"
usd = 1
[[rate_limits]]
concurrent = 3
"""
    assert (await ready(MODELS + text)).warnings == ()


async def test_models_that_were_not_named_only_warn() -> None:
    roster = await ready('discover = false\n[routes.r]\ntargets = ["moon"]\n[[rate_limits]]\nper = "key"')
    assert len(roster.warnings) == 2
    assert "'moon'" in roster.warnings[0]
