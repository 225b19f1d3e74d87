"""The markup of every page: each reference by id leads to exactly one element."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from api.dashboard.pages import PAGES
from api.dashboard.request import Page
from tests.unit.api.dashboard.fake_dashboard import PASSWORD, FakeDashboard, Visitor
from tests.unit.api.fake_api import Api, run

#: Streams and a file.
NOT_HTML = {"/live", "/loops/{id}/live", "/events/live", "/loops/{id}/file", "/events/{id}/mail"}
SHOWN = [page for page in PAGES if page.method == "GET" and not page.is_open and page.path not in NOT_HTML]
REFERENCES = ("for", "aria-describedby", "aria-labelledby", "aria-controls", "data-copy", "form")
LONG = "x" * 9000
#: Forms with many errors, and the number of fields with a problem.
WRONG: list[tuple[str, dict[str, Any], int]] = [
    ("/loops/new", {"url": "ftp://x", "rate_limit": "x", "max_concurrency": "0", "tags": LONG, "description": LONG}, 6),
    ("/messages", {"recipient": "nobody", "links": "ftp://x", "tags": LONG, "id": LONG, "mailing": LONG}, 4),
    ("/account/keys", {"name": LONG}, 1),
    ("/account/users", {"email": "new@example.com", "password": "short"}, 1),
    ("/account/password", {"old": PASSWORD, "new": "short"}, 1),
    ("/loops/{id}/replays", {"since": "yesterday", "until": "tomorrow"}, 1),
    ("/loops/{id}/test", {"data": "{"}, 0),
    ("/loops/{id}/delete", {"name": "another"}, 0),
]


class Ids(HTMLParser):
    """The ids of elements, and the ids that attributes refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.own: Counter[str] = Counter()
        self.named: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.own[value or ""] += 1
            elif name in REFERENCES:
                assert value == (value or "").strip(), f"<{tag} {name}={value!r}> has white space around it"
                self.named += [(f"<{tag} {name}>", id_) for id_ in (value or "").split()]
            elif name in {"hx-target", "hx-include", "href"} and (value or "").startswith("#"):
                self.named.append((f"<{tag} {name}>", (value or "")[1:]))


def check_ids(text: str) -> int:
    """Checks the page's ids, and returns the number of references."""
    ids = Ids(text)
    assert [id_ for id_ in ids.own if not re.fullmatch(r"[A-Za-z][\w-]*", id_)] == []
    assert [id_ for id_, count in ids.own.items() if count > 1] == []
    assert [(where, id_) for where, id_ in ids.named if id_ not in ids.own] == []
    return len(ids.named)


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.path)
def test_ids_of_a_page_are_valid(page: Page) -> None:
    """Each id is one word without a slash and belongs to one element, and every reference has its element."""

    async def scenario() -> None:
        async with Api() as api:
            dashboard, visitor = FakeDashboard(api), Visitor(api)
            await visitor.sign_in()
            answer = await visitor.get(dashboard.filled(page.path))
            assert answer.status_code == 200
            assert check_ids(answer.text) >= ("<html" in answer.text)
            await visitor.close()

    run(scenario())


@pytest.mark.parametrize(("path", "fields", "expected"), WRONG, ids=[path for path, _, _ in WRONG])
def test_ids_of_a_form_with_errors_are_valid(path: str, fields: dict[str, Any], expected: int) -> None:
    """Every problem has an id, and its field refers to it."""

    async def scenario() -> None:
        async with Api() as api:
            dashboard, visitor = FakeDashboard(api), Visitor(api)
            await visitor.sign_in()
            answer = await visitor.post(dashboard.filled(path), **fields)
            assert answer.status_code == 422, answer.text
            check_ids(answer.text)
            problems = re.findall(r'class="field-problem" id="([^"]+)"', answer.text)
            assert all(re.search(rf'aria-describedby="{problem}[ "]', answer.text) for problem in problems)
            assert len(problems) >= expected
            await visitor.close()

    run(scenario())


def test_ids_of_the_first_run_are_valid() -> None:
    """Problems with JSON pointers still yield valid ids, and the fields refer to hints and problems."""

    async def scenario() -> None:
        async with Api() as api:
            visitor = Visitor(api)
            first = (await visitor.get("/first-run")).text
            check_ids(first)
            assert 'aria-describedby="token-hint"' in first
            wrong = (await visitor.post("/first-run", token="flf_guess", email="x", password="short")).text
            check_ids(wrong)
            assert 'aria-describedby="token-problem token-hint"' in wrong
            check_ids((await visitor.get("/sign-in")).text)
            FakeDashboard(api)
            check_ids((await visitor.get("/sign-in")).text)
            await visitor.close()

    run(scenario())
