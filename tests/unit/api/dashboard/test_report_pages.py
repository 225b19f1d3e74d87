"""Pages of events of every trigger, of returned mail, of reports, and of a message's history."""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec
import pytest

from actors.commands.messages import MessageSpec, RegisterMessages
from actors.commands.reports import ListReports, ReportView
from api.dashboard.foreign_text import MAX_HEADER_CHARS
from api.dashboard.pages.deliveries import MAX_BODY_CHARS
from api.dashboard.pages.reports import MAX_EVENTS
from domain.event_catalogue.samples import sample_fields
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.returned_mail.raw import mail_text
from domain.values import id_text
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard, Visitor, with_visitor
from tests.unit.api.fake_api import NOW_MS, PUBLIC_URL

EVENT_ID = id_text("evt", (9_000).to_bytes(16, "big"))
#: Markup, a quote, bidirectional overrides, controls of both blocks, a separator, a zero-width space, and an emoji.
HOSTILE = "<img src=x onerror=alert(1)>\"' \u202egnp.exe\u2066 \x00\x1b[31m\x85 \u2028 \u200b \N{GRINNING FACE}"
SHOWN = (
    "<img src=x onerror=alert(1)>\"' ⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+0000⟩⟨U+001B⟩[31m⟨U+0085⟩ ⟨U+2028⟩ ⟨U+200B⟩ "
    "\N{GRINNING FACE}"
)
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def facts_of(page: str) -> dict[str, str]:
    """The labels and values of the page's facts."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page, re.DOTALL)
    return {label: html.unescape(re.sub(r"<[^>]*>", "", value)).strip() for label, value in found}


def region(page: str, name: str) -> str:
    """The text of the preformatted region with this name."""
    found = re.search(rf'<pre[^>]*aria-label="{re.escape(name)}"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found is not None, page
    return html.unescape(found[1])


def rows_of(page: str) -> list[str]:
    """The text of each row of the page's tables."""
    rows = re.findall(r'<tr role="row"><th role="rowheader".*?</tr>', page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in rows]


@pytest.mark.parametrize("trigger", EVENT_TYPES)
def test_the_page_of_an_event_has_every_field(trigger: str) -> None:
    """Each field of the event is on its page: in the title, the facts, the history, the tables or the JSON."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        fields = sample_fields(trigger, bytes(16), NOW_MS, {})
        mime = fields.pop("mime", None)
        dashboard.put_event(EVENT_ID, fields | ({"mime_charset": "utf-8"} if mime else {}))
        if mime:
            dashboard.api.client.mails[EVENT_ID] = mime
        page = (await visitor.get(f"/events/{EVENT_ID}")).text
        before = page.partition('aria-label="The event')[0]
        shown = html.unescape(re.sub(r"<[^>]*>", " ", before))
        for name in ("recipient", "code", "extended", "description", "action", "state", "envelope", "emailfrom"):
            if name in fields:
                assert str(fields[name]) in shown, name
        for name, value in (fields.get("fields") or {}).items():
            assert [row for row in rows_of(page) if row.startswith(name) and value in row], name
        assert msgspec.json.decode(region(page, "The event's fields")).keys() >= fields.keys()
        assert ("Subject: Sample" in page) == (mime is not None)
        row = next(row for row in rows_of((await visitor.get("/events")).text) if trigger in row)
        assert row

    with_visitor(scenario)


def test_a_failure_shows_the_reply_and_its_reason() -> None:
    """Code, status, category, permanence and stage are facts; the page links to message and report."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.get(f"/events/{dashboard.failure_id}")).text
        facts = facts_of(page)
        assert [facts[name] for name in ("Code", "Status", "Category", "Permanent", "Action", "Stage")] == [
            "550",
            "5.1.1",
            "address",
            "yes",
            "failed",
            "bounce",
        ]
        assert region(page, "The server's reply") == "User <b>unknown</b>"
        assert f'href="/dashboard/reports/{dashboard.report_id}"' in page
        assert 'href="/dashboard/messages/m-1"' in page
        assert "Failure for john@example.com" in page

    with_visitor(scenario)


def test_a_profile_event_shows_what_changed() -> None:
    """Changed names come first, with the value of the call; a removed field and an interest are marked."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        fields = {
            "type": "update",
            "database": "1",
            "profile": "123",
            "collection": "orders",
            "subprofile": "7",
            "parameters": {"name": "Ann", "sailing": 1},
            "changed": ["gone", "name", "sailing"],
            "fields": {"name": "Ann", "age": 7},
            "interests": ["sailing"],
            "created": "2026-01-01 12:00:00",
            "modified": "2026-01-02 12:00:00",
        }
        dashboard.put_event(EVENT_ID, fields)
        page = (await visitor.get(f"/events/{EVENT_ID}")).text
        rows = rows_of(page)
        assert rows == ["gone changed removed", "name changed Ann Ann", "sailing changed interest 1", "age 7"]
        assert "Changed subprofile 7" in page
        facts = facts_of(page)
        assert (facts["Database"], facts["Profile"], facts["Collection"]) == ("1", "123", "orders")
        listed = rows_of((await visitor.get("/events?type=update")).text)
        assert "subprofile 7: gone, name, sailing" in listed[0]

    with_visitor(scenario)


def test_hostile_texts_are_shown_as_text() -> None:
    """Markup is escaped, and characters that could hide or reorder text are visible, on every page that has them."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        bounce: dict[str, Any] = dict.fromkeys(("description", "code", "envelope", "category", "useragent"), HOSTILE)
        bounce |= {"type": "bounce", "recipient": HOSTILE, "fields": {HOSTILE: HOSTILE}, "mime_charset": "utf-8"}
        dashboard.put_event(EVENT_ID, bounce)
        dashboard.api.client.mails[EVENT_ID] = f"Subject: {HOSTILE}\r\n folded\r\n\r\n{HOSTILE}"
        report = ReportView(
            id=id_text("rep", b"h" * 16),
            state="unmatched",
            source="mail",
            kind="other",
            arrived_at_ms=NOW_MS,
            events=[EVENT_ID],
        )
        dashboard.api.client.reports.insert(0, report)
        for path in (f"/events/{EVENT_ID}", f"/reports/{report.id}", "/events", "/messages/m-1"):
            page = (await visitor.get(path)).text
            assert "<img" not in page, path
            assert html.escape(HOSTILE[:28], quote=False) in page or "⟨U+202E⟩gnp.exe" in page, path
            assert not INVISIBLE.search(page), path
        page = (await visitor.get(f"/events/{EVENT_ID}")).text
        assert region(page, "Header of the returned mail") == f"Subject: {SHOWN}\n folded"
        assert region(page, "The server's reply") == SHOWN
        assert facts_of(page)["Envelope address"] == SHOWN
        assert msgspec.json.decode(region(page, "The event's fields"))["description"] == HOSTILE

    with_visitor(scenario)


@pytest.mark.parametrize("raw", [b"Subject: caf\xe9 \x80\xff\r\n\r\nbody \xfe\x00", "Subject: café\n\nbody €".encode()])
def test_the_download_has_the_mail_s_own_bytes(raw: bytes) -> None:
    """As a plain text attachment that no browser shows as a page, whatever the mail's charset."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        text = mail_text(raw)
        dashboard.put_event(EVENT_ID, {"type": "bounce", "mime_charset": text.charset})
        dashboard.api.client.mails[EVENT_ID] = text.text
        page = (await visitor.get(f"/events/{EVENT_ID}")).text
        assert "body" not in region(page, "Header of the returned mail")
        assert f"<code>{text.charset}</code>" in page
        assert "the whole mail" in page
        answer = await visitor.get(f"/events/{EVENT_ID}/mail")
        assert answer.content == raw
        assert answer.headers["content-type"] == f"text/plain; charset={text.charset}"
        assert answer.headers["content-disposition"] == f'attachment; filename="{EVENT_ID}.txt"'
        assert answer.headers["x-content-type-options"] == "nosniff"

    with_visitor(scenario)


def test_a_mail_that_is_all_header_is_cut_on_the_page() -> None:
    """512 KiB of header make no page of that size; the download has everything."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        mime = f"Subject: {'<' * (512 * 1024 - 9)}"
        dashboard.put_event(EVENT_ID, {"type": "abuse", "mime_charset": "utf-8", "mime_truncated": 1})
        dashboard.api.client.mails[EVENT_ID] = mime
        answer = await visitor.get(f"/events/{EVENT_ID}")
        assert len(answer.content) < 6 * MAX_HEADER_CHARS
        assert region(answer.text, "Header of the returned mail") == mime[:MAX_HEADER_CHARS]
        assert "only its first part is shown" in answer.text
        assert "the first part of the mail" in answer.text
        assert (await visitor.get(f"/events/{EVENT_ID}/mail")).text == mime

    with_visitor(scenario)


def test_a_mail_that_is_gone_is_no_error() -> None:
    """The event's page says so, and the download is not found."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.mails.clear()
        page = await visitor.get(f"/events/{dashboard.bounce_id}")
        assert (page.status_code, "no longer stored" in page.text) == (200, True)
        assert (await visitor.get(f"/events/{dashboard.bounce_id}/mail")).status_code == 404

    with_visitor(scenario)


def test_a_mail_and_reports_are_only_shown_to_their_account() -> None:
    """Events, mails and reports of another account are not found, and its list is not shown."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        stranger = FakeDashboard(dashboard.api, "zoe@example.com")
        for path in (
            f"/events/{stranger.bounce_id}",
            f"/events/{stranger.bounce_id}/mail",
            f"/reports/{stranger.report_id}",
        ):
            answer = await visitor.get(path)
            assert (answer.status_code, "Undelivered" in answer.text) == (404, False)
        assert stranger.report_id not in (await visitor.get("/reports")).text

    with_visitor(scenario)


def test_reports_are_listed_by_state() -> None:
    """Each row has state, kind, source and the number of events; pages follow each other and keep the filter."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        rows = rows_of((await visitor.get("/reports")).text)
        assert [row.split(" UTC ")[1] for row in rows] == [
            "● matched status notification: failed returned mail 2",
            "◌ unmatched automatic reply returned mail 0",
        ]
        page = (await visitor.get("/reports?state=unmatched")).text
        assert dashboard.report_id not in page
        assert "No message of this account belongs to it" in page
        template = dashboard.api.client.reports[1]
        dashboard.api.client.reports[1:] = [
            msgspec.structs.replace(template, id=id_text("rep", (n + 1).to_bytes(16, "big"))) for n in range(60)
        ]
        first = (await visitor.get("/reports?state=unmatched")).text
        older = re.search(r'href="(\?cursor=[^"]+)">Older', first)
        assert older is not None
        second = (await visitor.get(f"/reports{html.unescape(older[1])}")).text
        assert (len(rows_of(first)), len(rows_of(second))) == (50, 10)
        assert dashboard.api.client.called(ListReports)[-1].state == "unmatched"
        assert 'href="/dashboard/reports?state=unmatched">Newest' in second

    with_visitor(scenario)


@pytest.mark.parametrize("query", ["state=lost", "cursor=nonsense", "state=%3Cimg%3E"])
def test_a_wrong_search_of_reports_is_explained(query: str) -> None:
    """The page shows what is wrong instead of an empty list."""

    async def scenario(_: FakeDashboard, visitor: Visitor) -> None:
        answer = await visitor.get(f"/reports?{query}")
        assert answer.status_code == 422
        assert "The search was not run." in answer.text
        assert "<img" not in answer.text

    with_visitor(scenario)


def test_an_account_without_reports_learns_how_to_send_one() -> None:
    """With curl and with the command line; a search without results only says so."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        dashboard.api.client.reports.clear()
        page = html.unescape((await visitor.get("/reports")).text)
        for text in ("/v1/events", "/v1/mime", "message/rfc822", "feedback-loops events mime", "No reports yet"):
            assert text in page
        searched = (await visitor.get("/reports?state=refused")).text
        assert "No matching reports." in searched
        assert "curl" not in searched

    with_visitor(scenario)


def test_a_report_shows_its_events_and_its_mail() -> None:
    """A report of many recipients shows the first events, and the mail of the last one."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.get(f"/reports/{dashboard.report_id}")).text
        assert len(rows_of(page)) == 2
        assert "Subject: Undelivered <i>Mail</i>" in region(page, "Header of the returned mail")
        assert "The body is not shown" not in page
        assert f'href="/dashboard/events/{dashboard.bounce_id}/mail"' in page
        many = [id_text("evt", (20_000 + n).to_bytes(16, "big")) for n in range(200)]
        for event_id in many:
            dashboard.put_event(event_id, {"type": "failure"})
        report = msgspec.structs.replace(
            dashboard.api.client.reports[0], events=[*many, dashboard.bounce_id], is_truncated=True
        )
        dashboard.api.client.reports[0] = report
        page = (await visitor.get(f"/reports/{report.id}")).text
        assert len(rows_of(page)) == MAX_EVENTS
        assert f"{MAX_EVENTS} of 201 events are shown" in page
        assert "Parts of the mail were ignored" in page
        assert "Subject: Undelivered" in page

    with_visitor(scenario)


def test_a_repeat_leads_to_the_first_report() -> None:
    """It caused no event, and says why."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        repeat = msgspec.structs.replace(
            dashboard.api.client.reports[0],
            id=id_text("rep", b"r" * 16),
            state="repeated",
            events=[],
            first_id=dashboard.report_id,
        )
        dashboard.api.client.reports.insert(0, repeat)
        page = (await visitor.get(f"/reports/{repeat.id}")).text
        assert f'href="/dashboard/reports/{dashboard.report_id}"' in page
        assert "It caused no event." in page
        assert (await visitor.get("/reports/rep_no")).status_code == 404

    with_visitor(scenario)


def test_a_message_shows_its_whole_history() -> None:
    """Registration and every event in the order of arrival, with the states of the deliveries; a late report shows
    when it arrived.
    """

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        late = id_text("evt", NOW_MS.to_bytes(6, "big") + b"\x70" + bytes(9))
        dashboard.put_event(late, {"type": "delivery", "code": "250"}, NOW_MS - 3_600_000)
        rows = rows_of((await visitor.get("/messages/m-1")).text)
        types = [next(word for word in row.split() if word in {*EVENT_TYPES, "registered"}) for row in rows]
        assert types == ["registered", "click", "failure", "bounce", "delivery"]
        assert rows[1].endswith("● delivered ◌ pending") or {"delivered", "dead", "pending"} <= set(rows[1].split())
        assert rows[2].endswith("550 5.1.1 address: User <b>unknown</b> none")
        assert "arrived" in rows[4]
        assert "arrived" not in rows[2]

    with_visitor(scenario)


def test_a_message_shows_its_reference_and_return_path() -> None:
    """Without a return domain, the page says why there is no return path."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        fields = {"recipient": "zoe@example.com", "id": "r-1", "reference": "<1@shop.example>"}
        answer = await visitor.post("/messages", **fields)
        page = (await visitor.http.get(answer.headers["location"])).text
        assert facts_of(page)["Reference"] == "<1@shop.example>"
        assert f"{PUBLIC_URL}/u/" in page
        assert "--return-domain" in page

    with_visitor(scenario)


def test_a_delivery_with_a_mail_shows_the_start_of_its_post() -> None:
    """A POST of megabytes makes no page of megabytes."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        client = dashboard.api.client
        body = "mime=" + "x" * 2_000_000
        client.post_bodies[dashboard.delivery_id] = body
        answer = await visitor.get(f"/deliveries/{dashboard.delivery_id}")
        assert len(answer.content) < 2 * MAX_BODY_CHARS
        assert region(answer.text, "Request of attempt 1").endswith(body[:MAX_BODY_CHARS])
        assert "The first 32,768 of 2,000,005 characters" in answer.text

    with_visitor(scenario)


def test_no_trigger_is_only_a_sample() -> None:
    """The form of a loop offers all ten triggers without a restriction."""

    async def scenario(_: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.get("/loops/new")).text
        assert len(re.findall(r'name="triggers"', page)) == len(EVENT_TYPES) == 10
        assert "samples only" not in page

    with_visitor(scenario)


def test_a_registered_message_reaches_the_service_with_its_reference() -> None:
    """The command has it, and an empty field is none."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        for reference, sent in (("<2@shop.example>", "<2@shop.example>"), ("", None)):
            await visitor.post("/messages", recipient="zoe@example.com", reference=reference)
            spec: MessageSpec = dashboard.api.client.called(RegisterMessages)[-1].messages[0]
            assert spec.reference == sent

    with_visitor(scenario)
