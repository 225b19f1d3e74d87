"""Contents and forms of the dashboard's pages."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from actors.commands.deliveries import GetPost, RetryDelivery, StartReplay
from actors.commands.events import ListEvents
from actors.commands.loops import ChangeLoop, CreateLoop, RotateSecret, SampleResult, SendSample
from actors.commands.service import ReadClusterInventory
from actors.commands.users import FindSession
from api.dashboard import sse
from api.dashboard.forms import OTHER_FIELDS, beside_fields
from api.dashboard.session import COOKIE
from api.events import sse as event_sse
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.verification import file_name
from tests.unit.api.dashboard.fake_dashboard import PASSWORD, FakeDashboard, Visitor, with_visitor
from tests.unit.api.fake_api import NOW_MS

GOOD = {"url": "https://n.example/hook", "triggers": ["open", "click"], "format": "form", "max_concurrency": "16"}


def problem_at(field: str, page: str) -> str:
    """The problem shown at the field, which refers to it."""
    found = re.search(rf'aria-describedby="{field}-problem[ "].*?id="{field}-problem">This ([^<]+)\.<', page)
    assert found is not None, page
    return found[1]


def test_the_list_shows_the_health_of_loops() -> None:
    """Each loop has its name, state, success rate, p95 and backlog."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.backlogs[dashboard.loop.id] = 100_000
        page = (await visitor.get("/loops")).text
        for text in ("Newsletter", "failing", "h.example/another.php", "unverified", "90.0 %", "100,000+"):
            assert text in page

    with_visitor(scenario)


def test_an_account_without_loops_gets_advice() -> None:
    """The first loop is one click away."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.loops.clear()
        assert "Create the first one" in (await visitor.get("/loops")).text
        assert "Create the first one" in (await visitor.get("/")).text

    with_visitor(scenario)


def test_a_loop_is_created_from_the_whole_form() -> None:
    """Filters have one value per line, limits are numbers; the next page is the verification."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        more = {"tags": "spring\nshop, new", "rate_limit": "2.5", "ordered": "on", "description": " Shop \nmore"}
        answer = await visitor.post("/loops/new", **{**GOOD, **more, "format": "json"})
        (command,) = dashboard.api.client.called(CreateLoop)
        assert answer.headers["location"].endswith("/verify?done=created")
        settings = command.settings
        assert (command.url, settings.triggers, settings.format) == (
            "https://n.example/hook",
            ("open", "click"),
            "json",
        )
        assert (settings.tags, settings.rate_limit, settings.ordered) == (("spring", "shop", "new"), 2.5, True)
        assert (settings.max_concurrency, settings.description) == (16, "Shop \nmore")

    with_visitor(scenario)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("url", "ftp://x", "must start with http"),
        ("triggers", [], "Select at least one."),
        ("rate_limit", "often", "Enter a number above 0"),
        ("rate_limit", "-1", "Enter a number above 0"),
        ("rate_limit", "1_0", "Enter a number above 0"),
        ("max_concurrency", "0", "Enter a whole number from 1 to 1,000."),
        ("headers", "X-A: 1\nHost: x", "“Host” cannot be set"),
        ("headers", "Bearer abc", "“Bearer abc” is not the name of a header"),
        ("tags", "spring\n" + "x" * 201, "Entry 2 must be at most 200 characters long."),
    ],
)
def test_a_form_with_errors_shows_where(field: str, value: Any, text: str) -> None:
    """The problem is at its field, and the input is kept."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        answer = await visitor.post("/loops/new", **{**GOOD, "description": "kept <b>", field: value})
        assert answer.status_code == 422
        assert text in answer.text
        assert f'id="{field}-problem"' in answer.text
        assert "kept &lt;b&gt;" in answer.text
        assert dashboard.api.client.called(CreateLoop) == []

    with_visitor(scenario)


def test_a_refused_address_is_shown_at_its_field() -> None:
    """A problem that only the service can find appears in the same place."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.failures[CreateLoop] = [InvalidInput("url no", [("/url", "is at 10.0.0.1, not allowed")])]
        answer = await visitor.post("/loops/new", **GOOD)
        assert (answer.status_code, "is at 10.0.0.1, not allowed" in answer.text) == (422, True)

    with_visitor(scenario)


def test_a_form_sent_twice_creates_one_loop() -> None:
    """A double click or a resubmission creates no second loop; a changed form, or a newly opened one, does."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        once = [re.findall(r'name="once" value="(\w+)"', (await visitor.get("/loops/new")).text)[0] for _ in range(2)]
        first = await visitor.post("/loops/new", **GOOD, once=once[0])
        made = [
            (await visitor.post("/loops/new", **{**GOOD, **more})).headers["location"]
            for more in ({"once": once[0]}, {"once": once[0], "description": "changed"}, {"once": once[1]})
        ]
        assert made[0] == first.headers["location"]
        assert len({*made}) == 3
        assert len(dashboard.api.client.loops) == 2 + 3

    with_visitor(scenario)


def test_the_sample_follows_the_selected_trigger() -> None:
    """It is of the last selected trigger and format; if that trigger is deselected, of the first selected one."""

    async def scenario(_: FakeDashboard, visitor: Visitor) -> None:
        async def shown(query: str) -> str:
            return (await visitor.get(f"/loops/sample?{query}")).text

        assert "type=click" in await shown("triggers=open&triggers=click&sample=click")
        assert "type=open" in await shown("triggers=open&sample=click")
        assert "&#34;type&#34;:&#34;bounce&#34;" in await shown("triggers=bounce&format=json")
        assert "type=open" in await shown("sample=nonsense")

    with_visitor(scenario)


def test_a_changed_address_needs_a_new_proof() -> None:
    """Only differences are sent; a new address leads to its verification."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        path = f"/loops/{dashboard.loop.id}/edit"
        same = {**GOOD, "url": dashboard.loop.url, "description": "Letters"}
        assert (await visitor.post(path, **same)).headers["location"].endswith("?done=saved")
        assert dashboard.api.client.called(ChangeLoop)[-1].changes == {"description": "Letters"}
        moved = await visitor.post(path, **{**same, "url": "https://moved.example/"})
        assert moved.headers["location"].endswith("/verify?done=url")
        wrong = await visitor.post(path, **{**same, "url": "nothing"})
        assert (wrong.status_code, "url-problem" in wrong.text) == (422, True)

    with_visitor(scenario)


def test_headers_are_masked_in_the_form() -> None:
    """They are entered one per line. Saved again as shown, they stay; a problem of the service is at the field."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        path = f"/loops/{dashboard.loop.id}/edit"
        same = {**GOOD, "url": dashboard.loop.url, "headers": "Authorization: Basic Zm9vOmJhcg==\r\n\r\nX-A:b"}
        await visitor.post(path, **same)
        sent = dashboard.api.client.called(ChangeLoop)[-1].changes["headers"]
        assert sent == {"Authorization": "Basic Zm9vOmJhcg==", "X-A": "b"}

        page = (await visitor.get(path)).text
        assert "Authorization: ***\nX-A: ***</textarea>" in page
        assert "Zm9v" not in page
        await visitor.post(path, **{**same, "headers": "Authorization: ***\r\nX-A: ***"})
        assert "headers" not in dashboard.api.client.called(ChangeLoop)[-1].changes

        problem = [("/headers/X-A", "must be the value itself: the `url` is on another host")]
        dashboard.api.client.failures[ChangeLoop] = [InvalidInput("no", problem)]
        refused = await visitor.post(path, **{**same, "description": "x"})
        assert (refused.status_code, "“X-A” must be the value itself" in refused.text) == (422, True)

    with_visitor(scenario)


def test_verification_shows_every_place_tried() -> None:
    """The page lists file and places first, then the finding at each place, and the next step after success."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        loop = dashboard.unverified
        page = (await visitor.get(f"/loops/{loop.id}/verify")).text
        places = [f"https://h.example/{file_name(loop.verification_token)}", "_feedback-loops.h.example"]
        assert all(place in page for place in places)
        file = await visitor.get(f"/loops/{loop.id}/file")
        assert f'filename="{file_name(loop.verification_token)}"' in file.headers["content-disposition"]
        tried = await visitor.post(f"/loops/{loop.id}/verify")
        assert (tried.status_code, tried.text.count("404 Not Found")) == (422, 2)
        part = await visitor.http.post(
            f"/dashboard/loops/{loop.id}/verify", data={"csrf": visitor.csrf}, headers={"HX-Request": "true"}
        )
        assert (part.status_code, "<html" in part.text, "404 Not Found" in part.text) == (200, False, True)
        dashboard.api.client.proved.add(loop.id)
        assert (await visitor.post(f"/loops/{loop.id}/verify")).headers["location"].endswith("?done=verified")

    with_visitor(scenario)


def test_a_loop_is_paused_resumed_and_deleted_by_its_name() -> None:
    """A wrong name deletes nothing, a double click is harmless, and a conflict with the state is explained."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        path = f"/loops/{dashboard.loop.id}"
        for _ in range(2):
            assert (await visitor.post(f"{path}/pause")).headers["location"] == f"/dashboard{path}"
        for _ in range(2):
            assert (await visitor.post(f"{path}/resume")).headers["location"].endswith("?done=resumed")
        forbidden = await visitor.post(f"/loops/{dashboard.unverified.id}/pause")
        assert (forbidden.status_code, "unverified" in forbidden.text) == (409, True)
        assert (await visitor.post(f"{path}/delete", name="Another")).status_code == 422
        assert (await visitor.get(path)).status_code == 200
        assert (await visitor.post(f"{path}/delete", name="Newsletter")).headers["location"].endswith("?done=deleted")
        assert (await visitor.get(path)).status_code == 404

    with_visitor(scenario)


def test_the_secret_is_shown_and_rotated() -> None:
    """The page has code to paste next to it."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        page = await visitor.get(f"/loops/{dashboard.loop.id}/code")
        assert "whsec_" in page.text
        assert all(
            f"<summary>{language}</summary>" in page.text for language in ("PHP", "Python", "Node", "Go", "Ruby")
        )
        rotated = await visitor.post(f"/loops/{dashboard.loop.id}/code")
        assert "24 hours" in rotated.text
        revoked = await visitor.post(f"/loops/{dashboard.loop.id}/code", revoke="on")
        assert "the only one that signs" in revoked.text
        assert [command.revoke for command in dashboard.api.client.called(RotateSecret)] == [False, True]

    with_visitor(scenario)


def test_sample_data_is_checked_and_the_response_is_shown() -> None:
    """Data that is not an object is not sent; the script's response is shown as text."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        path = f"/loops/{dashboard.loop.id}/test"
        for data, text in (
            ("{", "not JSON"),
            ("[]", "must be a JSON object"),
            ('{"recipient": "\\ud800"}', "surrogate"),
            ('{"a": NaN}', "not JSON"),
        ):
            wrong = await visitor.post(path, type="open", data=data)
            assert (wrong.status_code, text in wrong.text) == (422, True)
        assert dashboard.api.client.called(SendSample) == []
        failed = SampleResult(
            loop_id=dashboard.loop.id,
            status=500,
            duration_ms=7,
            response_excerpt="<script>x",
            error="status: it said 500",
        )
        dashboard.api.client.samples[dashboard.loop.id] = failed
        answer = await visitor.post(path, type="click", data=json.dumps({"recipient": "z@example.com"}))
        assert all(t in answer.text for t in ("did not accept it", "500", "7 ms", "it said 500", "&lt;script&gt;x"))
        assert dashboard.api.client.called(SendSample)[0].data == {"recipient": "z@example.com"}
        refused = await visitor.post(f"/loops/{dashboard.unverified.id}/test", type="open", data="{}")
        assert (refused.status_code, "Verify it first" in refused.text) == (409, True)

    with_visitor(scenario)


def test_all_loops_are_checked_at_once() -> None:
    """Each active loop is listed with its response."""

    async def scenario(_: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.post("/loops/check")).text
        assert "Newsletter" in page
        assert "another.php" not in page

    with_visitor(scenario)


def test_a_replay_is_started_followed_and_cancelled() -> None:
    """Its range is in UTC, a second replay at the same time is refused, and the page shows the progress."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        path = f"/loops/{dashboard.loop.id}/replays"
        wrong = await visitor.post(path, since="yesterday", which="dead")
        assert (wrong.status_code, problem_at("since", wrong.text)[:15]) == (422, "must be a date ")
        assert 'value="yesterday"' in wrong.text
        second = await visitor.post(path, since="2026-01-01T00:00", which="dead")
        assert (second.status_code, "Another replay" in second.text) == (409, True)
        progress = await visitor.get(f"{path}/{dashboard.replay.id}", headers={"HX-Request": "true"})
        assert ("<html" in progress.text, "every 1s" in progress.text) == (False, True)
        cancelled = await visitor.post(f"{path}/{dashboard.replay.id}/cancel")
        assert cancelled.headers["location"].endswith("?done=cancelled")
        ended = await visitor.get(f"{path}/{dashboard.replay.id}", headers={"HX-Request": "true"})
        assert "every 1s" not in ended.text
        begun = await visitor.post(path, since="2026-01-01T00:00", until="2026-01-01T01:00", which="missed")
        command = dashboard.api.client.called(StartReplay)[-1]
        assert begun.headers["location"].endswith("/rpl_2")
        assert (command.since_ms, command.until_ms, command.which) == (1_767_225_600_000, 1_767_229_200_000, "missed")

    with_visitor(scenario)


def test_a_delivery_shows_request_and_response() -> None:
    """Both are shown as text; the delivery can be retried; if the POST cannot be shown, the page explains why."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.get(f"/deliveries/{dashboard.delivery_id}")).text
        assert f"webhook-id: {dashboard.event_id}" in page
        assert "&lt;b&gt;thank you&lt;/b&gt;" in page
        assert "Server: &lt;i&gt;nginx&lt;/i&gt;\nX-Request-Id: 7\n" in page
        retried = await visitor.post(f"/deliveries/{dashboard.delivery_id}/retry")
        assert retried.headers["location"].endswith("?done=retried")
        dashboard.api.client.failures[GetPost] = [NotFound("the event is not kept any more")]
        assert "not kept any more" in (await visitor.get(f"/deliveries/{dashboard.delivery_id}")).text
        dashboard.api.client.failures[RetryDelivery] = [Conflict("An attempt is on its way.")]
        busy = await visitor.post(f"/deliveries/{dashboard.delivery_id}/retry")
        assert (busy.status_code, "on its way" in busy.text) == (409, True)

    with_visitor(scenario)


def test_events_are_searched() -> None:
    """Each filter reaches the log; a tag filters the results; times are in UTC."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        form = {"type": "click", "recipient": "john@example.com", "message": "m-1", "since": "2026-01-01T00:00"}
        where = (await visitor.post("/events", **form)).headers["location"]
        found = await visitor.get(where.removeprefix("/dashboard"))
        query = dashboard.api.client.called(ListEvents)[-1]
        assert (query.type, query.recipient, query.message_id) == ("click", "john@example.com", "m-1")
        assert query.since_ms == 1_767_225_600_000
        assert dashboard.event_id in found.text
        # The address is in no URL: neither in this one, nor in those of the page's links.
        urls = [where, *re.findall(r'(?:href|action|sse-connect)="([^"]*)"', found.text)]
        assert not [url for url in urls if "john" in url]
        assert any("who=" in url and "live" in url for url in urls)
        assert dashboard.event_id in (await visitor.get("/events?tag=spring")).text
        assert dashboard.event_id not in (await visitor.get("/events?tag=autumn")).text
        wrong = await visitor.get("/events?until=soon")
        assert (wrong.status_code, problem_at("until", wrong.text)[:15]) == (422, "must be a date ")
        assert 'value="soon"' in wrong.text

    with_visitor(scenario)


RANGE = [
    ("2026-01-01T00:00", "2026-01-01T00:00", 1_767_225_600_000),
    ("2026-01-01T00:00:30", "2026-01-01T00:00:30", 1_767_225_630_000),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00", 1_767_225_600_000),
    ("2026-01-01T05:45:00.5+05:45", "2026-01-01T00:00:00.500", 1_767_225_600_500),
]


@pytest.mark.parametrize(("text", "served", "since_ms"), RANGE)
def test_a_time_is_an_instant_or_utc(text: str, served: str, since_ms: int) -> None:
    """Scripts send the instant, and without scripts the time is UTC; the field is in UTC and links keep it."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.get("/events", params={"since": text})).text
        assert dashboard.api.client.called(ListEvents)[-1].since_ms == since_ms
        assert f'name="since" value="{served}"' in page
        assert f"live?since={quote(text, safe='')}" in page
        dashboard.api.client.advance_replay(dashboard.loop.id, dashboard.replay.id, state="done")
        await visitor.post(f"/loops/{dashboard.loop.id}/replays", since=text, which="dead")
        assert dashboard.api.client.called(StartReplay)[-1].since_ms == since_ms

    with_visitor(scenario)


def test_a_range_that_ends_before_it_begins_is_refused_at_its_fields() -> None:
    """Both fields show the problem in the form's terms, with the input."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        fields = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
        for answer in (
            await visitor.get("/events", params=fields),
            await visitor.post(f"/loops/{dashboard.loop.id}/replays", which="all", **fields),
        ):
            assert answer.status_code == 422
            assert problem_at("since", answer.text) == "must be before “To”"
            assert "No event is like that" not in answer.text
            assert "`" not in answer.text
            for served in ('value="2026-01-02T00:00"', 'value="2026-01-01T00:00"'):
                assert served in answer.text
        later = await visitor.post(f"/loops/{dashboard.loop.id}/replays", since="2999-01-01T00:00", which="dead")
        assert problem_at("since", later.text) == "must be before now"

    with_visitor(scenario)


def test_a_problem_without_a_field_is_shown_above_the_form() -> None:
    """It uses the form's terms as far as there are any."""
    exc = InvalidInput("no", [("/cursor", "is not of this list"), ("/until", "must be after `since`"), ("/until", "2")])
    text = beside_fields(exc, {"since": "From", "until": "To"})
    assert text == ({"until": "This must be after “From”."}, OTHER_FIELDS["cursor"])
    assert beside_fields(InvalidInput("why"), {}) == ({}, "Why.")


def test_a_message_is_registered_and_its_links_shown() -> None:
    """Problems are shown at their fields; an id in use by another message is refused."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        fields = {"recipient": "zoe@example.com", "links": "https://a.example/\nhttps://b.example/", "tags": "x, y"}
        answer = await visitor.post("/messages", **fields, id="a/b")
        assert answer.headers["location"] == "/dashboard/messages/a%2Fb"
        page = (await visitor.http.get(answer.headers["location"])).text
        assert page.count("https://t.example/c/") >= 2
        assert "https://t.example/o/" in page
        wrong = await visitor.post("/messages", **{**fields, "recipient": "nobody"})
        assert (wrong.status_code, "recipient-problem" in wrong.text) == (422, True)
        duplicate = await visitor.post("/messages", **{**fields, "links": ""}, id="a/b")
        assert (duplicate.status_code, "id-problem" in duplicate.text) == (422, True)
        assert (await visitor.get("/messages?id=a/b")).headers["location"] == "/dashboard/messages/a%2Fb"

    with_visitor(scenario)


def test_keys_are_created_shown_once_and_revoked() -> None:
    """A new key appears on that one page, and opens the account."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.post("/account/keys", name="Till")).text
        found = re.search(r"flk_[\w-]+", page)
        assert found is not None
        answer = await dashboard.api.call("GET", "/v1/feedback-loops", key=found[0])
        assert [loop["id"] for loop in answer.json()["data"]] == [dashboard.loop.id, dashboard.unverified.id]
        listed = (await visitor.get("/account")).text
        assert found[0] not in listed
        assert "Till" in listed
        asked = await visitor.get(f"/account/keys/{dashboard.key.id}/revoke")
        assert (asked.status_code, "Shop" in asked.text) == (200, True)
        assert "Shop" in (await visitor.get("/account")).text
        revoked = await visitor.post(f"/account/keys/{dashboard.key.id}/revoke")
        assert revoked.headers["location"].endswith("?done=key-revoked")
        assert "Shop" not in (await visitor.get("/account")).text
        assert (await visitor.post("/account/keys", name="x" * 201)).status_code == 422

    with_visitor(scenario)


def test_users_are_added_and_removed() -> None:
    """A weak password and an address in use are refused with the reason; the last user stays."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        weak = await visitor.post("/account/users", email="new@example.com", password="short")
        assert (weak.status_code, "password-problem" in weak.text) == (422, True)
        duplicate = await visitor.post("/account/users", email=dashboard.user.email, password=PASSWORD)
        assert (duplicate.status_code, "already" in duplicate.text) == (409, True)
        await visitor.post("/account/users", email="new@example.com", password=PASSWORD)
        assert "new@example.com" in (await visitor.get("/account?done=user-added")).text
        for user, _ in list(dashboard.api.client.users.values()):
            asked = (await visitor.get(f"/account/users/{user.id}/remove")).text
            assert (user.email in asked, "This is you" in asked) == (True, user.id == dashboard.user.id)
            if user.id != dashboard.user.id:
                await visitor.post(f"/account/users/{user.id}/remove")
        last = await visitor.post(f"/account/users/{dashboard.user.id}/remove")
        assert (last.status_code, "last user" in last.text) == (409, True)

    with_visitor(scenario)


def test_a_password_is_changed_with_the_old_one() -> None:
    """The old password must match, the new one must be strong; other sessions end."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        other = Visitor(dashboard.api)
        await other.sign_in()
        wrong = await visitor.post("/account/password", old="nonsense", new="another long one")
        assert (wrong.status_code, "old-problem" in wrong.text) == (422, True)
        weak = await visitor.post("/account/password", old=PASSWORD, new="short")
        assert (weak.status_code, "new-problem" in weak.text) == (422, True)
        assert (await visitor.post("/account/password", old=PASSWORD, new="another long one")).status_code == 303
        assert (await visitor.get("/account")).status_code == 200
        assert (await other.get("/account")).status_code == 303
        await other.close()

    with_visitor(scenario)


def test_the_overview_shows_what_needs_attention() -> None:
    """It lists a failing, an unverified and a disabled loop, a backlog, and problems of the service."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.problems = ["the ledger is away"]
        page = (await visitor.get("/")).text
        for text in (
            "the ledger is away",
            "the script is failing (connect: refused)",
            "receives nothing until it is verified",
        ):
            assert text in page
        dashboard.api.client.problems = []
        dashboard.api.client.health.clear()
        dashboard.api.client.backlogs[dashboard.loop.id] = 20_000
        dashboard.api.client.loops[dashboard.unverified.id][1].verify("x", NOW_MS)
        dashboard.api.client.loops[dashboard.unverified.id][1].disable("It answered 410.", NOW_MS)
        page = (await visitor.get("/")).text
        assert "20,000 deliveries waiting" in page
        assert "is disabled: It answered 410." in page
        dashboard.api.client.loops.clear()
        assert "All is well" in (await visitor.get("/")).text

    with_visitor(scenario)


def test_operators_see_nodes_and_actors() -> None:
    """Running and silent actors are listed with the number left out, but no loop ids; missing data is reported."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.problems = ["run `feedback-loops doctor`"]
        assert "<li>run “feedback-loops doctor”</li>" in (await visitor.get("/service")).text
        page = (await visitor.get("/service")).text
        for text in ("1a1a1a1a", "2b2b2b2b", "gone", "4.0 GB", "enricher/0", "silent", "75.2 MB", "And 1 more."):
            assert text in page
        assert "fl_" not in page
        dashboard.api.client.failures[ReadClusterInventory] = [Unavailable("the gateway is away")]
        page = (await visitor.get("/service")).text
        assert "Ray is not responding." in page
        assert "No information available." in page

    with_visitor(scenario)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/live", ["attention", "waiting", "health", "chart"]),
        ("/loops/{loop}/live", ["facts", "deliveries", "chart"]),
        ("/events/live", ["events"]),
    ],
)
def test_live_parts_follow_and_end_with_the_session(path: str, names: list[str]) -> None:
    """All parts come first, each as one event; nothing follows once the visitor has signed out."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        cookie = f"{COOKIE}={visitor.http.cookies[COOKIE]}"
        url = f"/dashboard{path.format(loop=dashboard.loop.id)}"
        stream = await dashboard.api.stream(url, lambda got: f"event: {names[-1]}" in got, Cookie=cookie)
        assert stream.headers["content-type"] == "text/event-stream"
        assert [line[7:] for line in stream.text.splitlines() if line.startswith("event: ")] == names
        assert all(line.startswith(("event: ", "data: ", "retry: ")) for line in stream.text.splitlines() if line)
        dashboard.api.client.failures[FindSession] = []
        await visitor.post("/sign-out")
        gone = await dashboard.api.stream(url, lambda _: True, Cookie=cookie)
        assert gone.status_code == 303

    with_visitor(scenario)


ENDS = [("gone", "/loops/{id}/live"), ("signed-out", "/loops/{id}/live"), ("signed-out", "/live")]


@pytest.mark.parametrize(("why", "path"), [*ENDS, ("signed-out", "/events/live")])
def test_a_stream_reports_its_end(monkeypatch: pytest.MonkeyPatch, why: str, path: str) -> None:
    """The last event ends the stream when the loop is deleted or the session ends; a page that reconnects gets it at
    once.
    """
    monkeypatch.setattr(event_sse, "ACCESS_CHECK_S", 0)
    monkeypatch.setattr(sse, "POLL_S", 0.01)

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        url = f"/dashboard{dashboard.filled(path)}"
        headers = {"Cookie": f"{COOKIE}={visitor.http.cookies[COOKIE]}", "Accept": "text/event-stream"}
        has_ended = False

        def is_enough(got: str) -> bool:
            nonlocal has_ended
            if "event: " in got and not has_ended:
                has_ended = True
                (dashboard.api.client.loops if why == "gone" else dashboard.api.client.sessions).clear()
            return False

        stream = await dashboard.api.stream(url, is_enough, **headers)
        assert stream.text.count("event: end") == 1
        assert stream.text.endswith(f"event: end\ndata: {why}\n\n")
        again = await dashboard.api.stream(url, lambda _: False, **headers)
        assert (again.status_code, again.headers["content-type"]) == (200, "text/event-stream")
        assert again.text == f"retry: 2000\n\nevent: end\ndata: {why}\n\n"

    with_visitor(scenario)
