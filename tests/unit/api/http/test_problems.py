"""What a caller without a valid key learns about an error on our side."""

from __future__ import annotations

import re
from typing import Any

import pytest

from actors.commands.loops import GetLoop
from actors.commands.service import CheckReadiness
from api.app import _operations
from api.dashboard.pages import PAGES
from api.http.operation import Access
from api.http.problems import public_detail
from domain import errors as e
from domain.errors import FeedbackLoopsError, JournalUnavailable, StoreUnavailable, Unavailable
from tests.unit.api.dashboard.fake_dashboard import Visitor
from tests.unit.api.fake_api import ADMIN_KEY, Api, problem, run

#: As psycopg, Ray and lmdb report them.
SECRET = (
    'connection to server at "db.internal" (10.1.2.3), port 5433 failed: FATAL: PostgreSQL 16.2 at '
    "/var/lib/feedback-loops/journal: user=ledger"
)
REVEALING = re.compile(r"db\.internal|10\.1\.2\.3|5433|16\.2|/var/lib|user=ledger")


def _classes(cls: type[FeedbackLoopsError]) -> list[type[FeedbackLoopsError]]:
    return [cls, *(deeper for child in cls.__subclasses__() for deeper in _classes(child))]


#: Errors on our side: every class but those about the request, and the one with only a fixed text.
OURS = [cls for cls in _classes(FeedbackLoopsError) if not issubclass(cls, e.DomainError | e.Starting)]


def error_of(cls: type[FeedbackLoopsError]) -> FeedbackLoopsError:
    """An error of the class with the secret as its text."""
    more: dict[type[FeedbackLoopsError], tuple[Any, ...]] = {e.StaleRoutes: (1,), e.UnknownIntake: ([1],)}
    return cls(SECRET, *more.get(cls, ()))


class Failing:
    """A client whose every call fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def call(self, _command: object) -> object:
        raise self._error


def failing(api: Api, error: Exception) -> None:
    api.client.call = Failing(error).call  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("cls", [*OURS, RuntimeError], ids=lambda cls: cls.__name__)
def test_no_error_reveals_our_side_to_strangers(cls: type[Exception]) -> None:
    """Whatever fails, no operation and no page shows a caller without a valid key more than a sentence of ours."""

    async def scenario() -> None:
        async with Api() as api:
            error = error_of(cls) if issubclass(cls, FeedbackLoopsError) else cls(SECRET)
            failing(api, error)
            api.journal.problem = SECRET
            for operation in _operations():
                path = re.sub(r"\{[a-z]+\}", "x1", operation.path)
                for key in (None, "flk_unknown", "\x7f", "x" * 600):
                    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
                    answer = await api.http.request(operation.method, path, headers=headers)
                    shown = answer.text + str(answer.headers)
                    assert not REVEALING.search(shown), (operation.id, shown)
            visitor = Visitor(api)
            for page in PAGES:
                for cookie in ("", "feedback_loops_session=unknown"):
                    path = page.path.replace("{", "").replace("}", "")
                    answer = await visitor.http.request(page.method, f"/dashboard{path}", headers={"Cookie": cookie})
                    assert not REVEALING.search(answer.text + str(answer.headers)), page.path
            await visitor.close()

    run(scenario())


def test_readiness_shows_strangers_the_kind_of_each_problem() -> None:
    """A probe without the admin key learns what is missing, and the operator why; the key of an account is none."""

    async def scenario() -> None:
        async with Api() as api:
            assert (await api.http.get("/readyz")).json() == {"status": "ready"}
            api.journal.problem = SECRET
            api.client.problems = [SECRET, "no supervisor"]
            strange = problem(await api.http.get("/readyz"), 503, "not-ready")
            assert strange["problems"] == [public_detail(JournalUnavailable("")), public_detail(Unavailable(""))]
            assert problem(await api.call("GET", "/readyz"), 503, "not-ready") == strange
            answer = await api.call("GET", "/readyz", key=ADMIN_KEY)
            assert problem(answer, 503, "not-ready")["problems"] == [SECRET, "no supervisor"]
            assert answer.headers["retry-after"] == "1"

            api.client.failures[CheckReadiness].append(StoreUnavailable(SECRET))
            found = problem(await api.http.get("/readyz"), 503, "not-ready")
            assert found["problems"] == [public_detail(JournalUnavailable("")), public_detail(StoreUnavailable(""))]
            assert "FEEDBACK_LOOPS_STORE" in found["detail"]

    run(scenario())


def test_readiness_for_tracking_needs_the_journal_alone() -> None:
    """It is 200 before the service was ready once, without actors, and with a full disk; not with a closed journal."""

    async def scenario() -> None:
        async with Api() as api:
            api.client.problems, api.journal.problem = ["no supervisor"], "the disk is full"
            assert (await api.http.get("/readyz")).status_code == 503
            assert (await api.http.get("/readyz?for=tracking")).json() == {"status": "ready"}
            api.journal.is_open = False
            problem(await api.http.get("/readyz?for=tracking"), 503, "not-ready")
            answer = await api.http.get("/readyz?for=clicks")
            assert problem(answer, 422, "invalid-input")["errors"][0]["pointer"] == "/for"

    run(scenario())


def test_a_problem_of_the_store_keeps_its_kind_behind_the_gateway() -> None:
    """Problems come from the gateway as text, with the positions of those that concern the store."""

    async def scenario() -> None:
        async with Api() as api:
            assert (await api.http.get("/readyz")).status_code == 200
            api.client.problems, api.client.of_store = ["a", "b"], [1]
            found = problem(await api.http.get("/readyz"), 503, "not-ready")
            assert found["problems"] == [public_detail(Unavailable("")), public_detail(StoreUnavailable(""))]

    run(scenario())


def test_a_known_caller_learns_more() -> None:
    """Accounts see the text of errors that do not concern the store; everyone sees that of errors in the request."""

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            api.client.failures[GetLoop].append(Unavailable("feedback loop is being started"))
            answer = await api.call("GET", f"/v1/feedback-loops/{loop['id']}")
            assert problem(answer, 503, "unavailable")["detail"] == "feedback loop is being started"
            api.client.failures[GetLoop].append(StoreUnavailable(SECRET))
            answer = await api.call("GET", f"/v1/feedback-loops/{loop['id']}")
            assert not REVEALING.search(problem(answer, 503, "store-unavailable")["detail"])

    run(scenario())
    assert public_detail(e.InvalidInput.at("/name", "must not be empty")) == "name must not be empty"


def test_every_operation_without_a_key_is_covered() -> None:
    """The test above would be empty if it did not know the operations that anyone may call."""
    assert {"/readyz", "/healthz", "/metrics", "/openapi.json"} <= {
        operation.path for operation in _operations() if operation.access is Access.ANYBODY
    }
