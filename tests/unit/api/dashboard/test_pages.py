"""What the dashboard's pages show and do, form by form."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from actors.commands.deliveries import GetPost, RetryDelivery, StartReplay
from actors.commands.events import ListEvents
from actors.commands.loops import ChangeLoop, CreateLoop, RotateSecret, SampleResult, SendSample
from actors.commands.service import ReadClusterInventory
from actors.commands.users import FindSession
from api.dashboard import sse
from api.dashboard.forms import beside_fields
from api.dashboard.session import COOKIE
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from tests.unit.api.dashboard.fake_dashboard import PASSWORD, Visitor, World
from tests.unit.api.fake_api import NOW_MS, Api, run

Scenario = Callable[[World, Visitor], Awaitable[None]]
GOOD = {"url": "https://n.example/hook", "triggers": ["open", "click"], "format": "form", "max_concurrency": "16"}


def visit(scenario: Scenario) -> None:
    """Runs it with a signed-in visitor."""

    async def within() -> None:
        async with Api() as api:
            world, visitor = World(api), Visitor(api)
            await visitor.sign_in()
            await scenario(world, visitor)
            await visitor.close()

    run(within())


def problem_at(field: str, page: str) -> str:
    """What is told beside the field, which names it."""
    found = re.search(rf'aria-describedby="{field}-problem[ "].*?id="{field}-problem">This ([^<]+)\.<', page)
    assert found is not None, page
    return found[1]


def test_the_list_tells_how_loops_do() -> None:
    """Name, state, success, p95 and backlog of each."""

    async def scenario(world: World, visitor: Visitor) -> None:
        world.api.client.backlogs[world.loop.id] = 100_000
        page = (await visitor.get("/loops")).text
        for text in ("Newsletter", "failing", "h.example/another.php", "unverified", "90.0 %", "100,000+"):
            assert text in page

    visit(scenario)


def test_an_account_without_loops_is_told_what_to_do() -> None:
    """The first loop is one click away."""

    async def scenario(world: World, visitor: Visitor) -> None:
        world.api.client.loops.clear()
        assert "Create the first one" in (await visitor.get("/loops")).text
        assert "Create the first one" in (await visitor.get("/")).text

    visit(scenario)


def test_a_loop_is_made_with_all_that_the_form_says() -> None:
    """Filters are a line each, limits numbers; the next page is its verification."""

    async def scenario(world: World, visitor: Visitor) -> None:
        more = {"tags": "spring\nshop, new", "rate_limit": "2.5", "ordered": "on", "description": " Shop \nmore"}
        answer = await visitor.post("/loops/new", **{**GOOD, **more, "format": "json"})
        (command,) = world.api.client.called(CreateLoop)
        assert answer.headers["location"].endswith("/verify?done=created")
        settings = command.settings
        assert (command.url, settings.triggers, settings.format) == (
            "https://n.example/hook",
            ("open", "click"),
            "json",
        )
        assert (settings.tags, settings.rate_limit, settings.ordered) == (("spring", "shop", "new"), 2.5, True)
        assert (settings.max_concurrency, settings.description) == (16, "Shop \nmore")

    visit(scenario)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("url", "ftp://x", "must start with http"),
        ("triggers", [], "at least 1 item"),
        ("rate_limit", "often", "must be a number"),
        ("rate_limit", "-1", "must be above 0"),
        ("max_concurrency", "0", "must be at least 1"),
        ("tags", "x" * 201, "at most 200"),
    ],
)
def test_a_form_that_is_wrong_says_where(field: str, value: Any, told: str) -> None:
    """The problem is beside its field, and what was typed is still there."""

    async def scenario(world: World, visitor: Visitor) -> None:
        answer = await visitor.post("/loops/new", **{**GOOD, "description": "kept <b>", field: value})
        assert answer.status_code == 422
        assert told in answer.text
        assert f'id="{field}-problem"' in answer.text
        assert "kept &lt;b&gt;" in answer.text
        assert world.api.client.called(CreateLoop) == []

    visit(scenario)


def test_an_address_that_is_refused_is_told_at_its_field() -> None:
    """What only the service knows of an address is told in the same place."""

    async def scenario(world: World, visitor: Visitor) -> None:
        world.api.client.failures[CreateLoop] = [InvalidInput("url no", [("/url", "is at 10.0.0.1, not allowed")])]
        answer = await visitor.post("/loops/new", **GOOD)
        assert (answer.status_code, "is at 10.0.0.1, not allowed" in answer.text) == (422, True)

    visit(scenario)


def test_a_form_that_is_sent_twice_makes_one_loop() -> None:
    """By a double click, or from the page before; a form that was changed, or another page of it, makes another."""

    async def scenario(world: World, visitor: Visitor) -> None:
        once = [re.findall(r'name="once" value="(\w+)"', (await visitor.get("/loops/new")).text)[0] for _ in range(2)]
        first = await visitor.post("/loops/new", **GOOD, once=once[0])
        made = [
            (await visitor.post("/loops/new", **{**GOOD, **more})).headers["location"]
            for more in ({"once": once[0]}, {"once": once[0], "description": "changed"}, {"once": once[1]})
        ]
        assert made[0] == first.headers["location"]
        assert len({*made}) == 3
        assert len(world.api.client.loops) == 2 + 3

    visit(scenario)


def test_the_sample_is_of_what_is_picked() -> None:
    """Of the trigger picked last, in the format picked; of the first that is, when that one is not picked any more."""

    async def scenario(_: World, visitor: Visitor) -> None:
        async def shown(query: str) -> str:
            return (await visitor.get(f"/loops/sample?{query}")).text

        assert "type=click" in await shown("triggers=open&triggers=click&sample=click")
        assert "type=open" in await shown("triggers=open&sample=click")
        assert "&#34;type&#34;:&#34;bounce&#34;" in await shown("triggers=bounce&format=json")
        assert "type=open" in await shown("sample=nonsense")

    visit(scenario)


def test_a_change_of_the_address_needs_a_new_proof() -> None:
    """Only what differs is changed; a new address leads to its verification."""

    async def scenario(world: World, visitor: Visitor) -> None:
        path = f"/loops/{world.loop.id}/edit"
        same = {**GOOD, "url": world.loop.url, "description": "Letters"}
        assert (await visitor.post(path, **same)).headers["location"].endswith("?done=saved")
        assert world.api.client.called(ChangeLoop)[-1].changes == {"description": "Letters"}
        moved = await visitor.post(path, **{**same, "url": "https://moved.example/"})
        assert moved.headers["location"].endswith("/verify?done=url")
        wrong = await visitor.post(path, **{**same, "url": "nothing"})
        assert (wrong.status_code, "url-problem" in wrong.text) == (422, True)

    visit(scenario)


def test_verification_shows_every_place_tried() -> None:
    """The file and its exact places before; what was found at each after; and the way on when it was found."""

    async def scenario(world: World, visitor: Visitor) -> None:
        loop = world.unverified
        page = (await visitor.get(f"/loops/{loop.id}/verify")).text
        places = [f"https://h.example/feedback-loops-{loop.verification_token}.txt", "_feedback-loops.h.example"]
        assert all(place in page for place in places)
        file = await visitor.get(f"/loops/{loop.id}/file")
        assert f'filename="feedback-loops-{loop.verification_token}.txt"' in file.headers["content-disposition"]
        tried = await visitor.post(f"/loops/{loop.id}/verify")
        assert (tried.status_code, tried.text.count("404 Not Found")) == (422, 2)
        part = await visitor.http.post(
            f"/dashboard/loops/{loop.id}/verify", data={"csrf": visitor.csrf}, headers={"HX-Request": "true"}
        )
        assert (part.status_code, "<html" in part.text, "404 Not Found" in part.text) == (200, False, True)
        world.api.client.proved.add(loop.id)
        assert (await visitor.post(f"/loops/{loop.id}/verify")).headers["location"].endswith("?done=verified")

    visit(scenario)


def test_a_loop_is_paused_resumed_and_deleted_by_its_name() -> None:
    """A wrong name deletes nothing; a double click does no harm; doing what the state forbids says so."""

    async def scenario(world: World, visitor: Visitor) -> None:
        path = f"/loops/{world.loop.id}"
        assert (await visitor.post(f"{path}/pause")).headers["location"].endswith("?done=paused")
        assert (await visitor.post(f"{path}/pause")).headers["location"].endswith("?done=paused")
        for _ in range(2):
            assert (await visitor.post(f"{path}/resume")).headers["location"].endswith("?done=resumed")
        forbidden = await visitor.post(f"/loops/{world.unverified.id}/pause")
        assert (forbidden.status_code, "unverified" in forbidden.text) == (409, True)
        assert (await visitor.post(f"{path}/delete", name="Another")).status_code == 422
        assert (await visitor.get(path)).status_code == 200
        assert (await visitor.post(f"{path}/delete", name="Newsletter")).headers["location"].endswith("?done=deleted")
        assert (await visitor.get(path)).status_code == 404

    visit(scenario)


def test_the_secret_is_shown_and_made_anew() -> None:
    """With code to paste beside it."""

    async def scenario(world: World, visitor: Visitor) -> None:
        page = await visitor.get(f"/loops/{world.loop.id}/code")
        assert "whsec_" in page.text
        assert all(
            f"<summary>{language}</summary>" in page.text for language in ("PHP", "Python", "Node", "Go", "Ruby")
        )
        rotated = await visitor.post(f"/loops/{world.loop.id}/code")
        assert "24 hours" in rotated.text
        assert len(world.api.client.called(RotateSecret)) == 1

    visit(scenario)


def test_a_tests_data_is_checked_and_its_answer_shown() -> None:
    """What is no object is not sent; what the script answers is shown, as text."""

    async def scenario(world: World, visitor: Visitor) -> None:
        path = f"/loops/{world.loop.id}/test"
        for data, told in (
            ("{", "not JSON"),
            ("[]", "must be a JSON object"),
            ('{"recipient": "\\ud800"}', "surrogate"),
            ('{"a": NaN}', "not JSON"),
        ):
            wrong = await visitor.post(path, type="open", data=data)
            assert (wrong.status_code, told in wrong.text) == (422, True)
        assert world.api.client.called(SendSample) == []
        failed = SampleResult(
            loop_id=world.loop.id, status=500, duration_ms=7, response_excerpt="<script>x", error="status: it said 500"
        )
        world.api.client.samples[world.loop.id] = failed
        answer = await visitor.post(path, type="click", data=json.dumps({"recipient": "z@example.com"}))
        assert all(t in answer.text for t in ("did not accept it", "500", "7 ms", "it said 500", "&lt;script&gt;x"))
        assert world.api.client.called(SendSample)[0].data == {"recipient": "z@example.com"}
        refused = await visitor.post(f"/loops/{world.unverified.id}/test", type="open", data="{}")
        assert (refused.status_code, "Verify it first" in refused.text) == (409, True)

    visit(scenario)


def test_all_loops_are_checked_at_once() -> None:
    """Each active one is named with its answer."""

    async def scenario(_: World, visitor: Visitor) -> None:
        page = (await visitor.post("/loops/check")).text
        assert "Newsletter" in page
        assert "another.php" not in page

    visit(scenario)


def test_a_replay_is_begun_followed_and_cancelled() -> None:
    """Its range is UTC; a second one at a time is refused on the page; progress is a part of the page."""

    async def scenario(world: World, visitor: Visitor) -> None:
        path = f"/loops/{world.loop.id}/replays"
        wrong = await visitor.post(path, since="yesterday", which="dead")
        assert (wrong.status_code, problem_at("since", wrong.text)[:15]) == (422, "must be a date ")
        assert 'value="yesterday"' in wrong.text
        second = await visitor.post(path, since="2026-01-01T00:00", which="dead")
        assert (second.status_code, "Another replay" in second.text) == (409, True)
        progress = await visitor.get(f"{path}/{world.replay.id}", headers={"HX-Request": "true"})
        assert ("<html" in progress.text, "every 1s" in progress.text) == (False, True)
        cancelled = await visitor.post(f"{path}/{world.replay.id}/cancel")
        assert cancelled.headers["location"].endswith("?done=cancelled")
        ended = await visitor.get(f"{path}/{world.replay.id}", headers={"HX-Request": "true"})
        assert "every 1s" not in ended.text
        begun = await visitor.post(path, since="2026-01-01T00:00", until="2026-01-01T01:00", which="all")
        command = world.api.client.called(StartReplay)[-1]
        assert begun.headers["location"].endswith("/rpl_2")
        assert (command.since_ms, command.until_ms, command.which) == (1_767_225_600_000, 1_767_229_200_000, "all")

    visit(scenario)


def test_a_delivery_shows_what_went_over_the_wire() -> None:
    """Request and answer, as text; it can be tried again; a POST that cannot be shown says why."""

    async def scenario(world: World, visitor: Visitor) -> None:
        page = (await visitor.get(f"/deliveries/{world.delivery_id}")).text
        assert f"webhook-id: {world.event_id}" in page
        assert "&lt;b&gt;thank you&lt;/b&gt;" in page
        assert "Server: &lt;i&gt;nginx&lt;/i&gt;\nX-Request-Id: 7\n" in page
        retried = await visitor.post(f"/deliveries/{world.delivery_id}/retry")
        assert retried.headers["location"].endswith("?done=retried")
        world.api.client.failures[GetPost] = [NotFound("the event is not kept any more")]
        assert "not kept any more" in (await visitor.get(f"/deliveries/{world.delivery_id}")).text
        world.api.client.failures[RetryDelivery] = [Conflict("An attempt is on its way.")]
        busy = await visitor.post(f"/deliveries/{world.delivery_id}/retry")
        assert (busy.status_code, "on its way" in busy.text) == (409, True)

    visit(scenario)


def test_events_are_searched() -> None:
    """Each filter is asked of the log; a tag is looked for in what comes; times are UTC."""

    async def scenario(world: World, visitor: Visitor) -> None:
        found = await visitor.get("/events?type=click&recipient=john@example.com&message=m-1&since=2026-01-01T00:00")
        query = world.api.client.called(ListEvents)[-1]
        assert (query.type, query.recipient, query.message_id) == ("click", "john@example.com", "m-1")
        assert query.since_ms == 1_767_225_600_000
        assert world.event_id in found.text
        assert world.event_id in (await visitor.get("/events?tag=spring")).text
        assert world.event_id not in (await visitor.get("/events?tag=autumn")).text
        wrong = await visitor.get("/events?until=soon")
        assert (wrong.status_code, problem_at("until", wrong.text)[:15]) == (422, "must be a date ")
        assert 'value="soon"' in wrong.text

    visit(scenario)


RANGE = [
    ("2026-01-01T00:00", "2026-01-01T00:00", 1_767_225_600_000),
    ("2026-01-01T00:00:30", "2026-01-01T00:00:30", 1_767_225_630_000),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00", 1_767_225_600_000),
    ("2026-01-01T05:45:00.5+05:45", "2026-01-01T00:00:00.500", 1_767_225_600_500),
]


@pytest.mark.parametrize(("text", "served", "since_ms"), RANGE)
def test_a_time_is_a_moment_or_in_utc(text: str, served: str, since_ms: int) -> None:
    """Scripts send the moment, without them it is UTC; either way the field is served in UTC, and links keep it."""

    async def scenario(world: World, visitor: Visitor) -> None:
        page = (await visitor.get("/events", params={"since": text})).text
        assert world.api.client.called(ListEvents)[-1].since_ms == since_ms
        assert f'name="since" value="{served}"' in page
        assert f"since={quote(text, safe='')}&amp;" in page
        world.api.client.advance_replay(world.loop.id, world.replay.id, state="done")
        await visitor.post(f"/loops/{world.loop.id}/replays", since=text, which="dead")
        assert world.api.client.called(StartReplay)[-1].since_ms == since_ms

    visit(scenario)


def test_a_range_that_ends_before_it_begins_is_told_at_its_field() -> None:
    """In the words of the form, on both of them, with what was typed."""

    async def scenario(world: World, visitor: Visitor) -> None:
        fields = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
        for answer in (
            await visitor.get("/events", params=fields),
            await visitor.post(f"/loops/{world.loop.id}/replays", which="all", **fields),
        ):
            assert answer.status_code == 422
            assert problem_at("since", answer.text) == "must be before “To”"
            assert "No event is like that" not in answer.text
            assert "`" not in answer.text
            for served in ('value="2026-01-02T00:00"', 'value="2026-01-01T00:00"'):
                assert served in answer.text
        later = await visitor.post(f"/loops/{world.loop.id}/replays", since="2999-01-01T00:00", which="dead")
        assert problem_at("since", later.text) == "must be before now"

    visit(scenario)


def test_what_belongs_to_no_field_is_told_above_the_form() -> None:
    """In the form's words as far as it has them."""
    exc = InvalidInput("no", [("/cursor", "is not of this list"), ("/until", "must be after `since`"), ("/until", "2")])
    told = beside_fields(exc, {"since": "From", "until": "To"})
    assert told == ({"until": "must be after “From”"}, "cursor is not of this list")
    assert beside_fields(InvalidInput("why"), {}) == ({}, "why")


def test_a_message_is_registered_and_its_links_shown() -> None:
    """What is wrong with it is told at the field; an id that is another message's is refused."""

    async def scenario(world: World, visitor: Visitor) -> None:
        fields = {"recipient": "zoe@example.com", "links": "https://a.example/\nhttps://b.example/", "tags": "x, y"}
        answer = await visitor.post("/messages", **fields, id="a/b")
        assert answer.headers["location"] == "/dashboard/messages/a%2Fb"
        page = (await visitor.http.get(answer.headers["location"])).text
        assert page.count("https://t.example/c/") >= 2
        assert "https://t.example/o/" in page
        wrong = await visitor.post("/messages", **{**fields, "recipient": "nobody"})
        assert (wrong.status_code, "recipient-problem" in wrong.text) == (422, True)
        taken = await visitor.post("/messages", **{**fields, "links": ""}, id="a/b")
        assert (taken.status_code, "id-problem" in taken.text) == (422, True)
        assert (await visitor.get("/messages?id=a/b")).headers["location"] == "/dashboard/messages/a%2Fb"

    visit(scenario)


def test_keys_are_made_once_shown_and_revoked() -> None:
    """A new key is on that one page, and opens the account."""

    async def scenario(world: World, visitor: Visitor) -> None:
        page = (await visitor.post("/account/keys", name="Till")).text
        found = re.search(r"flk_[\w-]+", page)
        assert found is not None
        answer = await world.api.call("GET", "/v1/feedback-loops", key=found[0])
        assert [loop["id"] for loop in answer.json()["data"]] == [world.loop.id, world.unverified.id]
        listed = (await visitor.get("/account")).text
        assert found[0] not in listed
        assert "Till" in listed
        asked = await visitor.get(f"/account/keys/{world.key.id}/revoke")
        assert (asked.status_code, "Shop" in asked.text) == (200, True)
        assert "Shop" in (await visitor.get("/account")).text
        revoked = await visitor.post(f"/account/keys/{world.key.id}/revoke")
        assert revoked.headers["location"].endswith("?done=key-revoked")
        assert "Shop" not in (await visitor.get("/account")).text
        assert (await visitor.post("/account/keys", name="x" * 201)).status_code == 422

    visit(scenario)


def test_users_are_added_and_removed() -> None:
    """A weak password and a taken address are told; the last user stays."""

    async def scenario(world: World, visitor: Visitor) -> None:
        weak = await visitor.post("/account/users", email="new@example.com", password="short")
        assert (weak.status_code, "password-problem" in weak.text) == (422, True)
        taken = await visitor.post("/account/users", email=world.user.email, password=PASSWORD)
        assert (taken.status_code, "already" in taken.text) == (409, True)
        await visitor.post("/account/users", email="new@example.com", password=PASSWORD)
        assert "new@example.com" in (await visitor.get("/account?done=user-added")).text
        for user, _ in list(world.api.client.users.values()):
            asked = (await visitor.get(f"/account/users/{user.id}/remove")).text
            assert (user.email in asked, "This is you" in asked) == (True, user.id == world.user.id)
            if user.id != world.user.id:
                await visitor.post(f"/account/users/{user.id}/remove")
        last = await visitor.post(f"/account/users/{world.user.id}/remove")
        assert (last.status_code, "last user" in last.text) == (409, True)

    visit(scenario)


def test_a_password_is_changed_by_who_knows_it() -> None:
    """The old one has to be right, the new one good; other sessions end."""

    async def scenario(world: World, visitor: Visitor) -> None:
        other = Visitor(world.api)
        await other.sign_in()
        wrong = await visitor.post("/account/password", old="nonsense", new="another long one")
        assert (wrong.status_code, "old-problem" in wrong.text) == (422, True)
        weak = await visitor.post("/account/password", old=PASSWORD, new="short")
        assert (weak.status_code, "new-problem" in weak.text) == (422, True)
        assert (await visitor.post("/account/password", old=PASSWORD, new="another long one")).status_code == 303
        assert (await visitor.get("/account")).status_code == 200
        assert (await other.get("/account")).status_code == 303
        await other.close()

    visit(scenario)


def test_the_overview_says_what_needs_attention() -> None:
    """A failing, an unverified and a disabled loop, a backlog, and a service that is not well."""

    async def scenario(world: World, visitor: Visitor) -> None:
        world.api.client.problems = ["the ledger is away"]
        page = (await visitor.get("/")).text
        for text in ("the ledger is away", "the script is failing", "receives nothing until it is verified"):
            assert text in page
        world.api.client.problems = []
        world.api.client.health.clear()
        world.api.client.backlogs[world.loop.id] = 20_000
        world.api.client.loops[world.unverified.id][1].verify("x", NOW_MS)
        world.api.client.loops[world.unverified.id][1].disable("It answered 410.", NOW_MS)
        page = (await visitor.get("/")).text
        assert "20,000 deliveries waiting" in page
        assert "is disabled: It answered 410." in page
        world.api.client.loops.clear()
        assert "All is well" in (await visitor.get("/")).text

    visit(scenario)


def test_operators_see_nodes_and_actors() -> None:
    """Which are there, which do not answer, and how many are left out; no loop's id. When nobody says, that is told."""

    async def scenario(world: World, visitor: Visitor) -> None:
        page = (await visitor.get("/service")).text
        for text in ("1a1a1a1a", "2b2b2b2b", "gone", "4.0 GB", "enricher/0", "silent", "75.2 MB", "And 1 more."):
            assert text in page
        assert "fl_" not in page
        world.api.client.failures[ReadClusterInventory] = [Unavailable("the gateway is away")]
        page = (await visitor.get("/service")).text
        assert "Ray is not responding." in page
        assert "No information available." in page

    visit(scenario)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/live", ["attention", "waiting", "health", "chart"]),
        ("/loops/{loop}/live", ["facts", "deliveries", "chart"]),
        ("/events/live", ["events"]),
    ],
)
def test_live_parts_come_and_end_with_the_session(path: str, names: list[str]) -> None:
    """All parts at first, each as one event; nothing more once the visitor was signed out."""

    async def scenario(world: World, visitor: Visitor) -> None:
        cookie = f"{COOKIE}={visitor.http.cookies[COOKIE]}"
        url = f"/dashboard{path.format(loop=world.loop.id)}"
        stream = await world.api.stream(url, lambda got: f"event: {names[-1]}" in got, Cookie=cookie)
        assert stream.headers["content-type"] == "text/event-stream"
        assert [line[7:] for line in stream.text.splitlines() if line.startswith("event: ")] == names
        assert all(line.startswith(("event: ", "data: ", "retry: ")) for line in stream.text.splitlines() if line)
        world.api.client.failures[FindSession] = []
        await visitor.post("/sign-out")
        gone = await world.api.stream(url, lambda _: True, Cookie=cookie)
        assert gone.status_code == 303

    visit(scenario)


ENDS = [("gone", "/loops/{id}/live"), ("signed-out", "/loops/{id}/live"), ("signed-out", "/live")]


@pytest.mark.parametrize(("why", "path"), [*ENDS, ("signed-out", "/events/live")])
def test_a_stream_says_that_it_has_ended(monkeypatch: pytest.MonkeyPatch, why: str, path: str) -> None:
    """As its last event, when the loop is deleted or the session ends; and at once, to a page that asks again."""
    monkeypatch.setattr(sse, "_SESSION_EVERY", 1)
    monkeypatch.setattr(sse, "POLL_S", 0.01)

    async def scenario(world: World, visitor: Visitor) -> None:
        url = f"/dashboard{world.filled(path)}"
        headers = {"Cookie": f"{COOKIE}={visitor.http.cookies[COOKIE]}", "Accept": "text/event-stream"}
        has_ended = False

        def is_enough(got: str) -> bool:
            nonlocal has_ended
            if "event: " in got and not has_ended:
                has_ended = True
                (world.api.client.loops if why == "gone" else world.api.client.sessions).clear()
            return False

        stream = await world.api.stream(url, is_enough, **headers)
        assert stream.text.count("event: end") == 1
        assert stream.text.endswith(f"event: end\ndata: {why}\n\n")
        again = await world.api.stream(url, lambda _: False, **headers)
        assert (again.status_code, again.headers["content-type"]) == (200, "text/event-stream")
        assert again.text == f"retry: 2000\n\nevent: end\ndata: {why}\n\n"

    visit(scenario)
