"""Erasure on the real service while hits and reports of the person arrive, and processes are killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from tests.erasures import Person, PersonLoad, check_nothing_is_left, completed_erasure, erase, restart_front_end
from tests.handler import Handler
from tests.personal_traces import files_of, tables_of, where
from tests.postgres import PostgresServer
from tests.service import Service, eventually, running
from tests.stepped_clock import DAY_S, SteppedClock

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

EMAIL: Final = "Kite.Runner41@kvx-survives.example"
#: Processes that take part in an erasure, in the order in which they are killed.
ROLES: Final = ("ledger", "front", "host", "gateway", "enricher", "ledger")


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, SteppedClock]]:
    """A service on the store that the parameter names, and its clock."""
    folder = tmp_path_factory.mktemp("erasure")
    clock = SteppedClock(folder / "clock")
    settings = {"FEEDBACK_LOOPS_RETRY_SCHEDULE": "0.2,0.2,600", **clock.environment()}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        settings["FEEDBACK_LOOPS_STORE"] = server.new_database()
    with running(folder / "data", **settings) as (made, _):
        yield made, clock


@pytest.mark.parametrize(
    ("service", "killed"),
    [("sqlite", ROLES), ("postgresql", ("ledger",))],
    ids=["sqlite", "postgresql"],
    indirect=["service"],
)
def test_an_erasure_beside_a_load_and_kills_completes(
    service: tuple[Service, SteppedClock], killed: Sequence[str]
) -> None:
    """Nothing of the person is kept or sent once it has completed, not even of a bounce a day later."""
    running_service, clock = service
    account = running_service.account()
    store = running_service.environment.get("FEEDBACK_LOOPS_STORE")

    def places() -> dict[str, bytes]:
        files = files_of(running_service.data_dir, running_service.log)
        return files | (tables_of(store) if store else {})

    with Handler() as handler:
        person = Person(account, handler, EMAIL)
        with PersonLoad(person, account) as load:
            load.wait_for_more(60)
            assert where(places(), person.secrets), "the search finds what is there"
            erasure_id = erase(account, EMAIL)
            for role in killed:
                for process in running_service.processes(role):
                    process.kill()
                eventually(running_service.is_ready, 60, f"the service is ready without {role}", 0.2)
            completed_erasure(account, erasure_id)
            sent_before = len(handler.got)
            load.wait_for_more(30)
        clock.advance(DAY_S)
        person.bounces_late(account)
        person.check_erased()
        assert len(handler.got) == sent_before

    restart_front_end(running_service)
    check_nothing_is_left(person, places)
