"""Contract suite for the erasure of people from profiles. A store subclasses it with a fixture `store`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from actors.application.erasure_profiles import ErasureChanges
from actors.application.event_recorder import EventRecorder
from actors.commands.profiles import ImportProfiles, ProfileSpec
from actors.ledger.erasure.runner import Batches
from actors.ledger.erasure.step import Advance, ErasureAction
from actors.ledger.erasure.steps.attempts import AttemptsStep
from actors.ledger.writer import StoreWriter
from domain.erasure import RunningErasure, StepName, profile_event_key
from domain.errors import NotFound, StoreUnavailable
from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.tracking import EventToRecord, RecordedEvents
from domain.values import DeliveryState
from tests.contract.erasing import Eraser, profile_steps
from tests.contract.ledger_facts import NOW_MS, Store, event, outcome, stored
from tests.contract.ledger_profiles_suite import ALL, SUB, Caller, P

JOHN, JANE = "John@Example.com", "jane@example.com"


class ProfileAddressesSuite:
    """The addresses of profiles and subprofiles, by which an erasure finds them."""

    @pytest.fixture
    def caller(self, store: Store) -> Caller:
        return Caller(store, store.account())

    @staticmethod
    def people(store: Store, key: ProfileKey, caller: Caller) -> set[str]:
        id_ = Profile.create_id(caller.tenant.uuid, key)
        rows = store.read_models()["profile_addresses"]
        return {
            person for no, person, owner in rows if (no, str(owner).replace("-", "")) == (caller.tenant.no, id_.hex)
        }

    def test_each_version_leaves_its_addresses(self, store: Store, caller: Caller) -> None:
        """Those of top-level fields, in one spelling, as long as the history shows them, also of a deleted profile."""
        store.run(caller.put({"email": f" {JOHN}", "note": f"ask {JANE}", "more": {"email": JANE}, "n": 1}))
        assert self.people(store, P, caller) == {"john@example.com"}
        store.run(caller.put({"email": JANE}))
        store.run(caller.patch({"name": "Jane"}))
        store.run(caller.put({"size": 5}))
        store.run(caller.put({"gift": "ann@müller.example"}, key=SUB))
        store.run(caller.delete())
        store.run(caller.put({"email": "new@example.com"}))

        assert self.people(store, P, caller) == {"john@example.com", JANE, "new@example.com"}
        assert self.people(store, SUB, caller) == {"ann@xn--mller-kva.example"}

    def test_imported_profiles_have_addresses(self, store: Store, caller: Caller) -> None:
        """Whether events are recorded about them or not."""
        specs = [ProfileSpec(id="p", fields=msgspec.Raw(json.dumps({"email": JOHN}).encode()), interests=[])]
        command = ImportProfiles(account=caller.account, database="1", profiles=specs, with_events=False)
        store.run(caller.service.import_profiles(command))

        assert self.people(store, P, caller) == {"john@example.com"}

    def test_events_of_a_profile_are_found_by_its_key(self, store: Store, caller: Caller) -> None:
        """The key is negative, so that no message has it."""
        store.run(caller.put({"email": JOHN}))
        store.run(caller.put({}, key=SUB))
        store.run(caller.delete())

        keys = [profile_event_key(Profile.create_id(caller.tenant.uuid, key)) for key in (P, SUB)]
        assert all(-(2**63) <= key < 0 for key in keys)
        assert sorted(row[-1] for row in store.read_models()["events"]) == sorted([*keys, *keys])


class InterruptedChanges(ErasureChanges):
    """Writes before which, or after which, something else happens once."""

    def __init__(self, writer: StoreWriter) -> None:
        super().__init__(writer)
        self.before: Callable[[], Awaitable[object]] | None = None
        self.after: Callable[[], Awaitable[object]] | None = None

    async def append_and_record(
        self, changes: Sequence[StoredEvent], routes_version: int, events: Sequence[EventToRecord]
    ) -> RecordedEvents:
        before, self.before = self.before, None
        if before is not None:
            await before()
        recorded = await super().append_and_record(changes, routes_version, events)
        after, self.after = self.after, None
        if after is not None:
            await after()
        return recorded


class ProfileErasureSuite:
    """The steps of an erasure about profiles."""

    @pytest.fixture
    def caller(self, store: Store) -> Caller:
        return Caller(store, store.account())

    @pytest.fixture
    def eraser(self, store: Store) -> Eraser:
        return Eraser(store, changes=InterruptedChanges)

    @staticmethod
    def erase(store: Store, eraser: Eraser, caller: Caller, until_ms: int | None = None) -> dict[str, int]:
        store.clock.ms += 1000
        return eraser.erase(JOHN, caller.tenant.no, until_ms)

    @staticmethod
    def everything(store: Store) -> str:
        """All that the ledger holds, but for the erasures themselves."""
        return repr([bytes(each.state).decode() for each in store.log()]) + repr(store.read_models())

    def test_a_profile_of_one_person_is_deleted(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """With its subprofiles, all former data, and the data in events; loops get `delete` without data."""
        loop = store.active_loop(caller.tenant, triggers=list(ALL))
        store.run(caller.put({"email": "old@hidden.example", "name": "Hidden"}, "hidden"))
        store.clock.ms += 1
        store.run(caller.put({"email": JOHN, "name": "Hidden"}, "hidden"))
        store.run(caller.put({"size": "Hidden"}, key=SUB))
        store.run(caller.put({"email": JANE}, key=ProfileKey("1", "q")))
        counts = self.erase(store, eraser, caller)

        assert counts == {"messages": 0, "events": 3, "deliveries": 3, "profiles": 2, "mails": 0}
        assert "idden" not in self.everything(store)
        assert "john@" not in self.everything(store).lower()
        assert [row[1] for row in store.read_models()["profile_addresses"]] == [JANE]
        for key in (P, SUB):
            with pytest.raises(NotFound):
                store.run(caller.get(key))
        first, second = caller.events()[-2:]
        assert [each.get("collection") for each in (first, second)] == ["orders", None]
        assert second == {
            "event": second["event"],
            "type": "delete",
            "timestamp": "2026-02-02 02:40:01",
            "time": NOW_MS // 1000 + 1,
            "database": "1",
            "profile": "p",
            "created": "2026-02-02 02:40:00",
            "modified": "2026-02-02 02:40:00",
        }
        offers = [(offer.delivery_id, offer.fields) for _, offer in eraser.loops.offers]
        due = store.reader.due_deliveries(loop.no, store.clock.ms, 10, [], in_order=True)
        assert offers == [(each.delivery_id, each.fields) for each in due[1:]]
        assert eraser.rows("SELECT count(*) FROM erasure_histories") == [(0,)]

    def test_what_was_recorded_can_be_rebuilt(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """The log without the person's data gives the same read models."""
        store.run(caller.put({"email": JOHN}))
        store.run(caller.put({"a": JOHN, "b": JANE}, key=ProfileKey("1", "q")))
        store.run(caller.patch({"c": 1}, key=ProfileKey("1", "q")))
        self.erase(store, eraser, caller)
        again = store.another()
        again.run(again.writer.append(store.log()))

        tables = ("profiles", "subprofiles", "profile_streams", "profile_addresses", "profile_history")
        assert [again.read_models().get(name) for name in tables] == [store.read_models().get(name) for name in tables]

    def test_a_profile_of_several_people_loses_the_address(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """Also in former data and in earlier events, which are delivered without it; `update` shows what changed."""
        loop = store.active_loop(caller.tenant, triggers=[*ALL, "open"])
        store.run(caller.put({"a": JOHN, "b": JANE, "n": 0}, "golf"))
        store.clock.ms += 1
        store.run(caller.put({"a": f" {JOHN}", "b": JANE, "n": 1}, "golf"))
        copy = {"fields": {"a": JOHN, "b": JANE}, "interests": ["golf"]}
        store.append(caller.tenant.message(7, recipient=JANE, database="1", profile="p"))
        opened = event(caller.tenant, 7, [loop.no], fields=copy)
        [[delivery_id]] = store.record(opened).delivery_ids
        store.outcomes(outcome(delivery_id, excerpt=f"thanks, {JOHN}", response_headers=f"X: {JOHN}"))
        counts = self.erase(store, eraser, caller)

        assert counts == {"messages": 0, "events": 3, "deliveries": 0, "profiles": 1, "mails": 0}
        assert "john@" not in self.everything(store).lower()
        assert eraser.rows("SELECT status, excerpt, response_headers FROM attempts") == [(200, "", "")]
        found = store.run(caller.get())
        assert (json.loads(bytes(found.fields)), found.interests) == ({"b": JANE, "n": 1}, ["golf"])
        created, updated, *_, last = (
            json.loads(each.fields) for each in store.reader.due_deliveries(loop.no, 2**47, 9, [])
        )
        assert (created["fields"], created["parameters"]) == ({"b": JANE, "n": 0}, {"b": JANE, "n": 0, "golf": 1})
        assert (created["changed"], updated["changed"]) == (["a", "b", "n", "golf"], ["a", "n"])
        assert (last["type"], last["changed"], last["fields"]) == ("update", ["a"], {"b": JANE, "n": 1})
        assert "parameters" not in last
        (fields,) = (each for each in caller.events() if each["type"] == "open")
        assert (fields["fields"], "erased" in fields) == ({"b": JANE}, False)

    def test_a_response_to_an_attempt_under_way_loses_its_text(self, store: Store, caller: Caller) -> None:
        """The handler had the older text, and repeats it after the event has been redacted."""
        loop = store.active_loop(caller.tenant, triggers=["create"])
        store.run(caller.put({"a": JOHN, "b": JANE}))
        [due] = store.reader.due_deliveries(loop.no, 2**47, 9, [])

        class Attempt:
            """As the lanes do, before they confirm."""

            name = StepName.LANES

            async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
                late = outcome(due.delivery_id, excerpt=f"thanks, {JOHN}", response_headers=f"X: {JOHN}")
                await store.writer.record_outcomes([late])
                return Advance(erasures)

        def steps(writer: StoreWriter, recorder: EventRecorder, changes: ErasureChanges) -> list[ErasureAction]:
            attempts = Batches(AttemptsStep(), writer.erasure_store)
            return [*profile_steps(writer, recorder, changes), Attempt(), attempts]

        eraser = Eraser(store, steps)
        self.erase(store, eraser, caller)
        assert eraser.rows("SELECT status, excerpt, response_headers FROM attempts") == [(200, "", "")]
        assert eraser.rows("SELECT count(*) FROM erasure_deliveries") == [(0,)]

    def test_a_profile_that_others_messages_name_stays(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """Messages of people who were erased do not count."""
        store.run(caller.put({"email": JOHN, "name": "Family"}))
        store.append(caller.tenant.message(7, recipient=JANE, database="1", profile="p"))
        self.erase(store, eraser, caller)
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"name": "Family"}

        eraser.erase(JANE, caller.tenant.no)
        with pytest.raises(NotFound):
            store.run(caller.get())

    def test_a_message_leads_to_the_profile(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """The person's messages name it, though it holds no address."""
        store.run(caller.put({"name": "Hidden"}))
        store.append(caller.tenant.message(7, recipient=JOHN, database="1", profile="p"))
        assert self.erase(store, eraser, caller)["profiles"] == 1
        assert "Hidden" not in self.everything(store)

    def test_a_later_message_has_no_data_of_before(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """A message of after the request stays; the profile's data that its events have copied does not."""
        loop = store.active_loop(caller.tenant)
        store.run(caller.put({"email": JOHN, "name": "Hidden"}, "hidden"))
        message = {"recipient": JOHN, "database": "1", "profile": "p"}
        store.append(caller.tenant.message(7, at_ms=store.clock.ms + 10, **message))
        copy = {"recipient": JOHN, "fields": {"email": JOHN, "name": "Hidden"}, "interests": ["hidden"]}
        store.record(event(caller.tenant, 7, [loop.no], fields=copy, time_ms=store.clock.ms + 20))
        self.erase(store, eraser, caller, store.clock.ms + 5)

        assert "idden" not in self.everything(store)
        [due] = store.reader.due_deliveries(loop.no, 2**47, 9, [])
        assert json.loads(due.fields)["recipient"] == JOHN

    def test_the_id_of_a_deleted_profile_may_be_someone_elses(
        self, store: Store, caller: Caller, eraser: Eraser
    ) -> None:
        """The data of the deleted profile goes, and that of the new one stays."""
        store.run(caller.put({"email": JOHN, "name": "Hidden"}))
        store.append(caller.tenant.message(7, recipient=JOHN, database="1", profile="p"))
        store.run(caller.put({"name": "Hidden"}, key=SUB))
        store.clock.ms += 10
        store.run(caller.delete())
        store.clock.ms += 10
        store.run(caller.put({"name": "Ann"}))
        self.erase(store, eraser, caller)

        assert "idden" not in self.everything(store)
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"name": "Ann"}
        assert [each.get("fields") for each in caller.events()] == [None, None, None, None, {"name": "Ann"}]

    def test_a_deletion_that_waits_is_delivered_without_data(
        self, store: Store, caller: Caller, eraser: Eraser
    ) -> None:
        """Otherwise the handler would keep the person's data."""
        loop = store.active_loop(caller.tenant, triggers=list(ALL))
        store.run(caller.put({"email": JOHN, "name": "Hidden"}))
        store.run(caller.delete())
        self.erase(store, eraser, caller)

        [due] = store.reader.due_deliveries(loop.no, 2**47, 9, [])
        fields = json.loads(due.fields)
        assert (fields["type"], fields.keys() & {"fields", "interests", "erased"}) == ("delete", set())
        states = eraser.rows("SELECT state FROM deliveries ORDER BY id")
        assert states == [(DeliveryState.ERASED,), (DeliveryState.PENDING,)]

    def test_data_of_after_the_request_stays(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """A restored erasure removes only what is older, also if the same profile was written since."""
        store.run(caller.put({"email": JOHN, "name": "Old"}))
        store.clock.ms += 1000
        requested_at_ms = store.clock.ms
        store.clock.ms += 1000
        store.run(caller.put({"email": JOHN, "name": "New"}))
        store.run(caller.patch({"n": 1}))
        self.erase(store, eraser, caller, requested_at_ms)

        assert json.loads(bytes(store.run(caller.get()).fields)) == {"email": JOHN, "name": "New", "n": 1}
        assert "Old" not in self.everything(store)
        assert caller.types() == ["create", "update", "update"]
        assert [row[1] for row in store.read_models()["profile_addresses"]] == ["john@example.com"]
        self.erase(store, eraser, caller)
        assert "New" not in self.everything(store)

    def test_a_patch_after_the_request_does_not_save_the_data(
        self, store: Store, caller: Caller, eraser: Eraser
    ) -> None:
        """The rest of the profile is older."""
        store.run(caller.put({"email": JOHN}))
        requested_at_ms = store.clock.ms + 1
        store.clock.ms += 2
        store.run(caller.patch({"n": 1}))
        self.erase(store, eraser, caller, requested_at_ms)

        with pytest.raises(NotFound):
            store.run(caller.get())

    @pytest.mark.parametrize("shared", [False, True])
    def test_a_put_meanwhile_is_kept(self, store: Store, caller: Caller, eraser: Eraser, *, shared: bool) -> None:
        """It is neither lost nor mixed with older data, whoever is first."""
        more = {"b": JANE} if shared else {}
        store.run(caller.put({"a": JOHN, **more}))
        store.clock.ms += 1000

        async def put() -> None:
            store.clock.ms += 1000
            await caller.put({"a": JOHN, "name": "New"})

        eraser.changes.before = put
        self.erase(store, eraser, caller)
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"a": JOHN, "name": "New"}

        eraser.changes.after = put
        self.erase(store, eraser, caller)
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"a": JOHN, "name": "New"}

    def test_a_patch_meanwhile_brings_nothing_back(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """It had read the profile before the address was removed from it."""
        store.run(caller.put({"a": JOHN, "b": JANE}))

        async def patch() -> None:
            store.clock.ms += 1000
            await caller.patch({"n": 1})

        eraser.changes.before = patch
        self.erase(store, eraser, caller)
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"b": JANE, "n": 1}
        assert "john@" not in self.everything(store).lower()

    def test_a_subprofile_meanwhile_is_kept(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """The profile stays for it, without its older data."""
        store.run(caller.put({"email": JOHN}, "golf"))

        async def put() -> None:
            store.clock.ms += 1000
            await caller.put({"n": 1}, key=SUB)

        eraser.changes.before = put
        self.erase(store, eraser, caller)
        found = store.run(caller.get())
        assert (bytes(found.fields), found.interests) == (b"{}", [])
        assert bytes(store.run(caller.get(SUB)).fields) == b'{"n": 1}'
        [updated] = (each for each in caller.events() if each["type"] == "update")
        assert sorted(updated["changed"]) == ["email", "golf"]

    def test_a_message_meanwhile_keeps_the_profile(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """A message to someone else names it at the last moment."""
        store.run(caller.put({"email": JOHN, "name": "Family"}))
        made = caller.tenant.message(7, recipient=JANE, database="1", profile="p")

        async def register() -> None:
            await store.writer.append(stored(made))

        eraser.changes.before = register
        self.erase(store, eraser, caller)
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"name": "Family"}

    def test_a_lost_answer_changes_nothing_twice(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """As after kill -9 between the commit and whatever follows: each deletion is recorded and offered once."""
        loop = store.active_loop(caller.tenant, triggers=["delete"])
        store.run(caller.put({"email": JOHN}))
        store.run(caller.put({"n": 1}, key=SUB))

        async def fail() -> None:
            raise StoreUnavailable("the answer was lost")

        eraser.changes.after = fail
        id_ = store.run(eraser.request(JOHN, caller.tenant.no))
        with pytest.raises(StoreUnavailable):
            store.run(eraser.run(id_))
        counts = store.run(eraser.run(id_))

        assert (counts["profiles"], counts["events"]) == (2, 2)
        assert caller.types() == ["create", "create", "delete", "delete"]
        assert len(store.reader.due_deliveries(loop.no, 2**47, 9, [])) == 2

    def test_each_account_is_erased_on_its_own(self, store: Store, caller: Caller, eraser: Eraser) -> None:
        """Or all of them together."""
        other = Caller(store, store.account())
        for each in (caller, other):
            store.run(each.put({"email": JOHN}))
        self.erase(store, eraser, caller)
        assert bytes(store.run(other.get()).fields)
        eraser.erase(JOHN, 0)
        with pytest.raises(NotFound):
            store.run(other.get())

    def test_large_families_and_histories_take_several_transactions(
        self, store: Store, caller: Caller, eraser: Eraser
    ) -> None:
        """Everything goes all the same."""
        store.run(caller.put({"email": JOHN, "n": "Hidden"}))
        for n in range(120):
            store.run(caller.patch({"n": f"Hidden {n}"}))
            store.run(caller.put({"n": "Hidden"}, key=ProfileKey("1", "p", "orders", str(n))))
        assert self.erase(store, eraser, caller)["profiles"] == 121
        assert "Hidden" not in self.everything(store)
        assert caller.types().count("delete") == 121
