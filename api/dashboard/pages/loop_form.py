"""Form to create or edit a feedback loop, with a sample of its POSTs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from actors.commands.loops import ChangeLoop, CreateLoop, Loop
from api.dashboard import labels
from api.dashboard.forms import Form, beside_fields
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.dashboard.setting_fields import form_of, setting_in, setting_problem
from api.http.response import Response
from domain.errors import Conflict, InvalidInput
from domain.event_catalogue.samples import sample_fields
from domain.loop_settings import SETTINGS, LoopSettings
from domain.payload import CONTENT_TYPES, encode_form, encode_json
from domain.values import HandlerUrl

#: Id and time of every sample.
_SAMPLE_EVENT: Final = bytes.fromhex("0199c2a4d1f27c3e8a5b6c7d8e9fa0b1")
_SAMPLE_MS: Final = 1_772_357_400_000
_URL: Final = {"url": "Where is your script?"}


def sample_text(trigger: str, format_: str) -> str:
    """A sample POST of this trigger with shortened headers; a form has one field per line."""
    fields = sample_fields(trigger, _SAMPLE_EVENT, _SAMPLE_MS, {})
    if format_ == "json":
        body = encode_json(fields).decode().replace('","', '",\n "').replace(',"', ',\n "')
    else:
        body = encode_form(fields).decode().replace("&", "\n&")
    return f"Content-Type: {CONTENT_TYPES[format_]}\nwebhook-id: {fields['event']}\nwebhook-signature: v1,…\n\n{body}"


def _sample(form: Form) -> dict[str, str]:
    """The sample for the selection: of the trigger selected last, or of the first selected one."""
    known = [trigger for trigger in form.texts("triggers") if trigger in labels.TRIGGERS]
    wanted = form.text("sample")
    trigger = wanted if wanted in labels.TRIGGERS and (wanted in known or not known) else (known or ["open"])[0]
    format_ = "json" if form.text("format") == "json" else "form"
    return {"trigger": trigger, "format": format_, "text": sample_text(trigger, format_)}


async def sample(visit: Visit) -> Response:
    """The part of the page that shows the sample."""
    return visit.html("_sample.html", sample=_sample(visit.query))


def _settings_in(form: Form) -> dict[str, Any]:
    """The values of all settings that the form offers."""
    return {name: setting_in(form, setting) for name, setting in SETTINGS.items() if setting.is_offered}


def _problems_in(form: Form) -> dict[str, str]:
    """The problems of the form, by field."""
    found = {name: setting_problem(SETTINGS[name], value) for name, value in _settings_in(form).items()}
    try:
        HandlerUrl(form.text("url"))
    except InvalidInput as exc:
        found |= beside_fields(exc, _URL)[0]
    return {name: problem for name, problem in found.items() if problem}


def _problems_of(exc: InvalidInput) -> dict[str, str]:
    """The problems that the service found, by field. One without a field is shown at the URL."""
    pointers = {setting.pointer: name for name, setting in SETTINGS.items()}
    beside, other = beside_fields(exc, _URL | dict.fromkeys(SETTINGS, ""), pointers)
    return beside or {"url": other}


def _form_page(
    visit: Visit, form: Form, problems: Mapping[str, str] = MappingProxyType({}), loop: Loop | None = None
) -> Response:
    status = 422 if problems else 200
    shown = {"form": form, "problems": problems, "sample": _sample(form), "loop": loop, "once": secrets.token_hex(16)}
    return visit.html("loop_form.html", status, **shown)


async def new_loop_page(visit: Visit) -> Response:
    """The form, empty or filled in from the query."""
    is_filled_in = "triggers" in visit.query or "url" in visit.query
    defaults = LoopSettings(triggers=() if is_filled_in else ("open", "click"))
    return _form_page(visit, visit.query.defaulted(form_of(defaults)))


async def create_loop(visit: Visit) -> Response:
    """Creates the loop and shows its verification."""
    if "show" in visit.form:  # the button next to the sample, without JavaScript
        return _form_page(visit, visit.form)
    if problems := _problems_in(visit.form):
        return _form_page(visit, visit.form, problems)
    try:
        settings = LoopSettings.of(_settings_in(visit.form))
        # Equal for a form sent twice, by a double click or the back button.
        seed = visit.form.digest() if visit.form.text("once") else None
        command = CreateLoop(account=visit.account, url=visit.form.text("url"), settings=settings, seed=seed)
        loop = await visit.call(command)
    except InvalidInput as exc:
        return _form_page(visit, visit.form, _problems_of(exc))
    except Conflict:  # the page gives the form a new `once`
        was_deleted = "The loop made with this form was deleted. To make another one, send the form again."
        return _form_page(visit, visit.form, {"url": was_deleted})
    return see_other(f"{ROOT}/loops/{loop.id}/verify?done=created")


async def edit_page(visit: Visit) -> Response:
    """The form, filled in with the loop's settings."""
    loop = await visit.loop()
    return _form_page(visit, Form({"url": [loop.url]} | form_of(loop.settings)), loop=loop)


async def edit(visit: Visit) -> Response:
    """Saves the settings that have changed."""
    loop = await visit.loop()
    if "show" in visit.form:
        return _form_page(visit, visit.form, loop=loop)
    if problems := _problems_in(visit.form):
        return _form_page(visit, visit.form, problems, loop)
    try:
        changes = loop.settings.differences(loop.settings.replaced(_settings_in(visit.form)))
        if visit.form.text("url") != loop.url:
            changes["url"] = visit.form.text("url")
        changed = await visit.call(ChangeLoop(account=visit.account, loop_id=loop.id, changes=changes))
    except InvalidInput as exc:
        return _form_page(visit, visit.form, _problems_of(exc), loop)
    if changed.url != loop.url:
        return see_other(f"{ROOT}/loops/{loop.id}/verify?done=url")
    return see_other(f"{ROOT}/loops/{loop.id}?done=saved")


PAGES: Final = (
    Page(method="GET", path="/loops/new", handler=new_loop_page),
    Page(method="POST", path="/loops/new", handler=create_loop),
    Page(method="GET", path="/loops/sample", handler=sample),
    Page(method="GET", path="/loops/{id}/edit", handler=edit_page),
    Page(method="POST", path="/loops/{id}/edit", handler=edit),
)
