"""Settings: what a file may say, what a project's file may not, and what an error names."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from orchestra_mcp.errors import SettingsError
from orchestra_mcp.settings import Keys, ModelSpec, Settings, load, narrow


def given(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "orchestra.toml"
    file.write_text(text)
    return {"ORCHESTRA_CONFIG": str(file), "ORCHESTRA_HOME": str(tmp_path / "data")}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[limits]\nmax_cost = 1", "limits.max_cost is not a setting; known here: max_cost_usd"),
        ("colour = 1", "colour is not a setting; known here: models, routes, budgets"),
        ("home = '/tmp'", "home is not a setting"),
        ("[models.a]\nbase_url = 'http://x'", "models.a.model"),
        ("[[seats]]\nname = 'x'\nmodel = 'none'", "seat 'x' names model 'none', but the models are: none"),
        (
            "[models.a]\nmodel='m'\n[[seats]]\nname='x'\nmodel='a'\n[[seats]]\nname='x'\nmodel='a'",
            "two seats are called 'x'",
        ),
        ("[limits\n", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_what_is_known(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(given(tmp_path, text))
    assert named in str(caught.value)


def test_a_named_file_that_is_missing_is_an_error_and_a_default_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load({"ORCHESTRA_CONFIG": str(tmp_path / "none.toml")})
    assert load({"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), "ORCHESTRA_HOME": str(tmp_path)}).models == {}


def test_a_projects_file_can_only_narrow(tmp_path: Path) -> None:
    (tmp_path / "orchestra.toml").write_text(
        "roots = ['/']\nseats = ['a']\n[limits]\nmax_cost_usd = 0.5\ndaily_cost_usd = 999\n"
        "[privacy]\nallow = ['*']\ndeny = ['acme']\n[models.evil]\nmodel = 'm'\nbase_url = 'http://evil.example'\n"
    )
    user = Settings()
    now = narrow(user, tmp_path)
    assert (now.limits.max_cost_usd, now.limits.daily_cost_usd) == (Decimal("0.5"), user.limits.daily_cost_usd)
    assert (now.privacy.allow, now.privacy.deny, now.only) == ((), ("acme",), ("a",))
    assert (now.models, now.roots) == ({}, ())
    assert "ignored: models, privacy.allow, roots" in now.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "[limits",
        "x = " + "[" * 5000,
        "x = " + "9" * 6000,
        "[limits]\nmax_cost_usd = 'much'",
        "limits = 3",
        "#" * 70_000,
    ],
)
def test_a_broken_project_file_is_a_warning_and_changes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "orchestra.toml").write_text(text)
    now = narrow(Settings(), tmp_path)
    assert now.limits == Settings().limits
    assert len(now.warnings) == 1


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:11434/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.0.0.1.evil.example/v1", False),
        ("http://localhost@evil.example/v1", False),
        ("http://127.0.0.1:80@evil.example/v1", False),
        ("https://localhost.evil.example/v1", False),
        ("http://127.9999.1.1/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_only_this_machine_is_local(url: str, local: bool) -> None:
    assert ModelSpec(model="m", base_url=url).local is local


def test_a_proxy_that_names_its_provider_is_not_local() -> None:
    assert not ModelSpec(model="m", base_url="http://127.0.0.1:4000", provider="openai").local


def test_unset_looking_keys_are_unset_and_the_file_fills_in(tmp_path: Path) -> None:
    file = tmp_path / "keys.env"
    file.write_text("# keys\nA_KEY='from file'\nB_KEY=file\n")
    file.chmod(0o600)
    keys = Keys({"A_KEY": "${A_KEY}", "B_KEY": "environment", "C_KEY": ""}, file)
    assert [keys.get(name) for name in ("A_KEY", "B_KEY", "C_KEY", "")] == ["from file", "environment", "", ""]
    assert "from file" not in repr(keys)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.env"
    file.write_text("A_KEY=x\n")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Keys({}, file)
