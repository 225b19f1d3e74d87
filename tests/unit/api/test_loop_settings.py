"""Every setting of a loop reaches the API, the command line and the dashboard from its row in the domain."""

from __future__ import annotations

import argparse
import re
from typing import Any

import pytest

from api.cli import loop_settings as options
from api.dashboard.forms import Form
from api.dashboard.setting_fields import form_of, setting_in
from api.schemas.loop_settings import ANSWER_FIELDS, shown_settings
from api.schemas.loops import FeedbackLoop, LoopChange, NewLoop
from domain.loop_settings import SETTINGS, LoopSettings, Setting
from tests.paths import ROOT

OFFERED = [setting for setting in SETTINGS.values() if setting.is_offered]
#: Differs from the defaults in each setting on offer.
OTHER = LoopSettings(
    triggers=("bounce", "open"),
    tags=("a", "b"),
    databases=("1",),
    collections=("c",),
    format="json",
    rate_limit=2.5,
    max_concurrency=3,
    ordered=True,
    description="two\nlines",
    headers={"X-A": "b: c", "Authorization": "***"},
)


def by_name(setting: Setting) -> str:
    return setting.name


def property_of(model: Any, setting: Setting) -> dict[str, Any]:
    """The setting's part of a model's JSON schema, at its pointer."""
    schema = model.model_json_schema()
    found: dict[str, Any] = {"properties": schema["properties"]}
    for part in setting.pointer.split("/")[1:]:
        reference = re.search(r"#/\$defs/(\w+)", str(found))
        properties = found.get("properties") or schema["$defs"][reference[1] if reference else ""]["properties"]
        found = properties[part]
    return found


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=by_name)
@pytest.mark.parametrize("model", [NewLoop, LoopChange, FeedbackLoop])
def test_the_api_has_every_setting(model: Any, setting: Setting) -> None:
    """Requests and answers have the setting at its pointer, with its description."""
    assert property_of(model, setting)["description"].startswith(setting.description)


@pytest.mark.parametrize("setting", OFFERED, ids=by_name)
def test_the_command_line_has_every_setting(setting: Setting) -> None:
    """`loops create --help` shows the setting's description."""
    parser = argparse.ArgumentParser(prog="x")
    options.add_options(parser, is_new=True)
    (action,) = [action for action in parser._actions if action.dest == setting.name]

    assert action.help is not None
    assert setting.description[1:].removesuffix(".") in action.help


@pytest.mark.parametrize("setting", OFFERED, ids=by_name)
def test_the_form_has_a_field_for_every_setting(setting: Setting) -> None:
    """The dashboard's template has a field of the setting's name."""
    template = (ROOT / "api/dashboard/templates/loop_form.html").read_text()

    assert f'name="{setting.name}"' in template


@pytest.mark.parametrize("setting", OFFERED, ids=by_name)
def test_the_form_returns_what_it_shows(setting: Setting) -> None:
    """A form filled in with a loop's settings and sent back changes nothing."""
    for settings in (OTHER, LoopSettings(triggers=("open",))):
        found = setting_in(Form(form_of(settings)), setting)

        assert settings.replaced({setting.name: found}) == settings
    assert getattr(OTHER, setting.name) != setting.default


def test_answers_have_every_setting() -> None:
    """The JSON of a loop has the structure that the OpenAPI document describes."""
    shown = shown_settings(OTHER)

    assert list(shown) == list(ANSWER_FIELDS)
    assert {**shown, **shown["filters"]}.keys() - {"filters"} == SETTINGS.keys()
