"""Texts of forms and notices, for inputs of all kinds: plain sentences at the fields, and each one shown once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final, NamedTuple

import pytest

from actors.commands.loops import CreateLoop, PauseLoop
from api.dashboard import labels
from api.dashboard.forms import sentence
from api.dashboard.pages.loop import SNIPPETS
from domain.errors import Conflict, InvalidInput, StoreUnavailable
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard, Visitor, with_visitor
from tests.unit.api.dashboard.test_markup import SHOWN
from tests.unit.api.dashboard.test_pages import GOOD, problem_at

#: Values that some field refuses, and values that every field accepts.
VALUES: Final = (
    *("", " ", "..", "a b", "x" * 9000, "😀" * 3000, "bell\x07", "nul\x00", "<b>&amp;", "plain"),
    *("-1", "0", "1.5", "1_0", "1e999", "nan", "9" * 5000, "٣", "16"),
    *("ftp://x", "http://", "http://[::1", "http://x:abc/", "http://x:99999/", "http://x:0/", "https://u:p@x/"),
    *("https://exämple.com/", "https://x/../y", "https://x/#f", "https://x.example/"),
    *("{", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1,}', "{}", '{"a": "\n"}', "[" * 99, '{"": 1}'),
    *("yesterday", "2026-13-45T99:99", "2026-01-01T00:00", "9999-12-31T23:59", "ann@example.com", "a@b@c"),
)
#: Words of programs that pages do not show: of validators, JSON pointers, and Markdown.
WORDS_OF_PROGRAMS: Final = re.compile(
    r"`|\(s\)|(?<!send )\bnull\b|pydantic|Input should|literal|Traceback|Error\b|Expecting|Idempotency|Retry-After|"
    r"(?<![\w/.:<])/(?:url|triggers|filters|tags|recipient|links|profile|data|since|until|name|email|password|id|type|"
    r"mailing|description|rate_limit|max_concurrency|cursor|state|fields)\b"
)


class Parsed(HTMLParser):
    """The forms of a page, and what it says, without code and inputs."""

    _QUOTED: Final = ("pre", "code", "textarea", "script", "style", "option")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, str, dict[str, Any]]] = []
        self.words: list[str] = []
        #: The texts of each notice.
        self.notes: list[str] = []
        self._open: list[str] = []
        self._note_depth: int | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append((found.get("method") or "get", found.get("action") or "", {}))
        elif tag in {"input", "textarea", "select"} and self.forms and (name := found.get("name")):
            fields = self.forms[-1][2]
            if found.get("type") not in {"checkbox", "radio"} or "checked" in found:
                fields.setdefault(name, []).append(found.get("value") or "")
        if tag not in {"input", "br", "meta", "link"}:
            self._open.append(tag)
            if "note" in (found.get("class") or "").split() and "hidden" not in found and self._note_depth is None:
                self._note_depth = len(self._open)
                self.notes.append("")

    def handle_endtag(self, tag: str) -> None:
        if self._note_depth == len(self._open):
            self._note_depth = None
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not set(self._open) & set(self._QUOTED):
            self.words.append(data)
        if self._note_depth is not None:
            self.notes[-1] += data


class Sent(NamedTuple):
    """A form with one field changed."""

    method: str
    path: str
    fields: dict[str, Any]


def variants(path: str, page: str) -> Iterator[Sent]:
    """Every form of the page with every value in every field, and without it, one field at a time."""
    for method, action, fields in Parsed(page).forms:
        where = action.removeprefix("/dashboard") or path
        if where == "/sign-out":
            continue
        for name in fields:
            if name in {"csrf", "once", "username"}:
                continue
            yield Sent(method, where, {other: value for other, value in fields.items() if other != name})
            yield from (Sent(method, where, {**fields, name: value}) for value in VALUES)


def check_texts(page: str, what: object) -> None:
    """Fails if the page has a word of programs, or a problem that is no sentence."""
    text = " ".join(Parsed(page).words)
    assert not (found := WORDS_OF_PROGRAMS.search(text)), (what, text[max(0, found.start() - 80) : found.end() + 40])
    for problem in re.findall(r'class="field-problem"[^>]*>([^<]*)<', page):
        is_sentence = re.fullmatch(r"(?:[A-Z“]|&#3[49];).*[.!?]", problem, re.DOTALL)
        assert not problem.strip() or is_sentence, (what, problem)
        assert not re.match(r"(?:This|Entry \d+) (?:[A-Z]|the|there)", problem), (what, problem)


@pytest.mark.parametrize("page", [page for page in SHOWN if page.path != "/loops/sample"], ids=lambda page: page.path)
def test_forms_answer_in_plain_sentences(page: Any) -> None:
    """Whatever is in a field, its page says in sentences what is wrong with it, without words of programs."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        path = dashboard.filled(page.path)
        shown = (await visitor.get(path)).text
        check_texts(shown, path)
        for sent in variants(path, shown):
            if sent.method == "get":
                answer = await visitor.get(sent.path, params=sent.fields)
            else:
                answer = await visitor.post(sent.path, **{**sent.fields, "csrf": visitor.csrf})
            assert answer.status_code in {200, 303, 404, 409, 422}, (sent, answer.status_code)
            if answer.status_code == 303:
                continue
            check_texts(answer.text, sent)
            if answer.status_code == 422:
                assert re.search(r'class="field-problem"[^>]*>[^<]|class="note bad"', answer.text), sent

    with_visitor(scenario)


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        ("must not be empty", "This must not be empty."),
        ("is at 10.0.0.1, not allowed", "This is at 10.0.0.1, not allowed."),
        ("the address 10.0.0.1 is private (SETTING)", "The address 10.0.0.1 is private (SETTING)."),
        ("Wait a minute.", "Wait a minute."),
    ],
)
def test_a_problem_is_one_sentence(problem: str, shown: str) -> None:
    """A problem without a subject gets one, and others only a capital letter."""
    assert sentence(problem) == shown


def test_what_only_the_service_finds_is_shown_at_its_field() -> None:
    """Its texts become sentences as well, without backticks; a form of a deleted loop can be sent again."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        failures = dashboard.api.client.failures[CreateLoop]
        failures.append(InvalidInput("no", [("/filters/tags/1", "must not be `x`")]))
        refused = await visitor.post("/loops/new", **GOOD)
        assert '<span class="field-problem" id="tags-problem">Entry 2 must not be “x”.</span>' in refused.text
        failures.append(Conflict("the feedback loop made with this Idempotency-Key was deleted; use a new key"))
        deleted = await visitor.post("/loops/new", **GOOD, once="7")
        assert (deleted.status_code, "send the form again" in deleted.text) == (422, True)
        check_texts(deleted.text, "deleted")
        assert 'name="once" value="7"' not in deleted.text
        dashboard.api.client.failures[PauseLoop].append(StoreUnavailable("postgresql://db.internal is away"))
        away = await visitor.post(f"/loops/{dashboard.loop.id}/pause")
        assert (away.status_code, "Try again in a few seconds." in away.text) == (503, True)
        check_texts(away.text, "away")

    with_visitor(scenario)


def test_a_problem_of_a_message_is_at_the_field_it_belongs_to() -> None:
    """An entry is named by its number, and the profile's two fields have their own problems."""

    async def scenario(_: FakeDashboard, visitor: Visitor) -> None:
        fields = {"recipient": "a@example.com", "links": "https://a.example/\nftp://b", "database": "d" * 201}
        page = (await visitor.post("/messages", **fields, profile="1")).text
        assert ">Entry 2 must start with http:// or https://.<" in page
        assert problem_at("database", page) == "must be at most 200 characters long"
        assert "<details open>" in page

    with_visitor(scenario)


def sentences(notes: list[str]) -> Counter[str]:
    """The sentences of all notices, of at least two words."""
    found = [part.strip() for note in notes for part in re.split(r"[.!:]\s+|\.$", " ".join(note.split()))]
    return Counter(part for part in found if part)


async def after_actions(dashboard: FakeDashboard, visitor: Visitor) -> list[tuple[str, str]]:
    """The page after each action, as a browser without scripts shows it."""
    loop, other = f"/loops/{dashboard.loop.id}", f"/loops/{dashboard.unverified.id}"
    fields = {**GOOD, "description": "Newsletter"}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("/loops/new", GOOD),
        (f"{other}/verify", {}),
        (f"{other}/test", {"data": "{}"}),
        (f"{loop}/pause", {}),
        (f"{loop}/pause", {}),
        (f"{loop}/test", {"data": "{}"}),
        (f"{loop}/resume", {}),
        (f"{loop}/edit", {**fields, "url": dashboard.loop.url}),
        (f"{loop}/edit", {**fields, "url": "https://moved.example/"}),
        (f"{loop}/verify", {}),
        (f"{loop}/code", {}),
        (f"{loop}/replays/{dashboard.replay.id}/cancel", {}),
        (f"{loop}/replays", {"since": "2026-01-01T00:00", "which": "dead"}),
        (f"{loop}/replays", {"since": "2026-01-01T00:00", "which": "dead"}),
        (f"/deliveries/{dashboard.delivery_id}/retry", {}),
        ("/messages", {"recipient": "nobody"}),
        ("/messages", {"recipient": "a@example.com"}),
        ("/account/keys", {"name": "Till"}),
        (f"/account/keys/{dashboard.key.id}/revoke", {}),
        ("/account/users", {"email": dashboard.user.email, "password": "correct horse battery"}),
        ("/account/users", {"email": "new@example.com", "password": "correct horse battery"}),
        ("/account/password", {"old": "wrong", "new": "x"}),
        (f"{other}/delete", {"name": "wrong"}),
        (f"{other}/delete", {"name": labels.loop_name(dashboard.unverified)}),
        ("/loops/check", {}),
        ("/sign-out", {}),
    ]
    shown = []
    for path, fields in steps:
        answer = await visitor.post(path, **fields)
        if answer.status_code == 303:
            answer = await visitor.http.get(answer.headers["location"])
        shown.append((path, answer.text))
    return shown


def test_each_notice_is_shown_once() -> None:
    """No sentence is on a page in two notices, neither after an action nor with a confirmation in any state."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        pages = await after_actions(dashboard, visitor)
        await visitor.sign_in()
        dashboard = FakeDashboard(dashboard.api, "third@example.com")
        await visitor.sign_in("third@example.com")
        for done in labels.DONE:
            for page in SHOWN:
                path = dashboard.filled(page.path)
                pages.append((f"{path}?done={done}", (await visitor.get(f"{path}?done={done}")).text))
            unverified = f"/loops/{dashboard.unverified.id}"
            for path in (f"{unverified}?done={done}", f"{unverified}/verify?done={done}"):
                pages += [(path, (await visitor.get(path)).text)]
        for path, text in pages:
            notes = Parsed(text).notes
            assert [found for found, count in sentences(notes).items() if count > 1] == [], (path, notes)

    with_visitor(scenario)


def test_pausing_is_reported_once() -> None:
    """The loop's own state says it, so there is no second notice."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        answer = await visitor.post(f"/loops/{dashboard.loop.id}/pause")
        page = (await visitor.http.get(answer.headers["location"])).text
        assert page.count("Events are kept until you resume") == 1

    with_visitor(scenario)


def test_a_message_has_all_its_urls() -> None:
    """Its page has the pixel, every tracked link and the unsubscribe URL, as the API returns them."""

    async def scenario(_: FakeDashboard, visitor: Visitor) -> None:
        page = (await visitor.get("/messages/m-1")).text
        for kind in ("/o/", "/c/", "/u/"):
            assert re.search(rf"https://t\.example{kind}[\w-]+", page), kind
        assert re.search(r'id="unsubscribe">https://t\.example/u/[\w-]+<', page)

    with_visitor(scenario)


@pytest.mark.parametrize("format_", ["form", "json"])
def test_the_page_with_code_says_what_the_code_does(format_: str) -> None:
    """Each claim of the page about its handlers holds for each of them; the end-to-end tests run them."""

    async def scenario(dashboard: FakeDashboard, visitor: Visitor) -> None:
        loop = dashboard.api.client.loops[dashboard.loop.id][1]
        loop.change({"format": format_}, 1)
        page = (await visitor.get(f"/loops/{dashboard.loop.id}/code")).text
        text = " ".join(" ".join(Parsed(page).words).split())
        assert f"Your loop sends {'JSON' if format_ == 'json' else 'forms'}." in text
        assert "checks the signature, drops repeats, and reads forms and JSON" in text
        secret = re.search(r"whsec_[\w+/=]+", page)
        assert secret is not None
        for language, file_name, code in SNIPPETS:
            head = "\n".join(code.splitlines()[:12])
            assert "checks the signature, drops repeats" in head, language
            assert re.search(r"FEEDBACK_LOOP_SECRET=whsec_… \w+", head), language
            assert file_name in head
            assert "URL is then http://127.0.0.1:9000/" in head, language
            assert "application/json" in code
            assert len(re.findall("FEEDBACK_LOOP_SECRET", code)) >= 2
            assert secret[0] not in code

    with_visitor(scenario)
