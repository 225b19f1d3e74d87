"""People pages of the dashboard."""

from __future__ import annotations

import json

import msgspec

from actors.commands.erasures import EraseRecipient
from api.dashboard.labels import ERASURE_STEPS
from domain.erasure import StepName
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard, Visitor, with_visitor
from tests.unit.api.sample_person import EMAIL, records


def test_every_step_has_words() -> None:
    """The page of an erasure says what is being done."""
    assert set(ERASURE_STEPS) == set(StepName)


def test_a_person_is_looked_up_exported_and_erased() -> None:
    """Look-up shows counts, the export is a file, and an erasure needs a second form, which names the consequences."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.people[dashboard.account.no, EMAIL] = records()
        found = await visitor.post("/people", email=EMAIL)
        assert "<li>1 messages</li>" in found.text
        assert "<li>2 profiles and subprofiles with the address</li>" in found.text

        export = await visitor.post("/people/export", email=EMAIL)
        assert export.headers["content-disposition"] == 'attachment; filename="person.ndjson"'
        assert json.loads(export.text.splitlines()[-1]) == {"record": "end", "lines": len(records())}

        asked = await visitor.post("/people/erase", email=EMAIL)
        assert "This cannot be undone." in asked.text
        assert dashboard.api.client.called(EraseRecipient) == []
        done = await visitor.post("/people/erase", email=EMAIL, confirmed="yes", keep_opt_out="yes")
        (command,) = dashboard.api.client.called(EraseRecipient)
        assert (command.account, command.email, command.keep_opt_out) == (dashboard.account, EMAIL, True)

        erasure = await visitor.get(done.headers["location"].removeprefix("/dashboard"))
        assert "removing the person from messages" in erasure.text
        listed = await visitor.get("/people")
        assert "running" in listed.text
        # The address is in no URL, and on no page that has one.
        assert EMAIL not in erasure.text + listed.text + done.headers["location"]

    with_visitor(scenario)


def test_a_running_erasure_shows_what_it_waits_for() -> None:
    """Front ends that are gone have a remedy, which is no help with anything else."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        erasures = dashboard.api.client.erasures
        made = await dashboard.api.client.call(EraseRecipient(account=dashboard.account, email=EMAIL))
        for step, waiting, has_remedy in (("front_ends", "edge-1", True), ("bytes", "the store (in use)", False)):
            no, person, erasure = erasures[made.id]
            changed = msgspec.structs.replace(erasure, step=step, waiting_for=[waiting])
            erasures[made.id] = (no, person, changed)
            page = await visitor.get(f"/people/erasures/{made.id}")
            assert f"<dt>Waits for</dt><dd>{waiting}</dd>" in page.text
            assert ("edges forget" in page.text) == has_remedy
            assert waiting in (await visitor.get("/people")).text

    with_visitor(scenario)


def test_a_wrong_address_is_shown_at_the_field() -> None:
    """And nothing is looked up."""

    async def scenario(_dashboard: FakeDashboard, visitor: Visitor) -> None:
        answer = await visitor.post("/people", email="nobody")
        assert answer.status_code == 422
        assert 'id="email-problem">This is not an e-mail address' in answer.text

    with_visitor(scenario)


def test_another_account_does_not_see_it() -> None:
    """An erasure of another account is not found."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        other = FakeDashboard(dashboard.api, "other@example.com")
        made = await dashboard.api.client.call(EraseRecipient(account=other.account, email=EMAIL))
        assert (await visitor.get(f"/people/erasures/{made.id}")).status_code == 404

    with_visitor(scenario)
