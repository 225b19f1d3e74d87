"""Contract suite for profiles and their events. A store subclasses it with a fixture `store`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from actors.application.event_recorder import EventRecorder
from actors.application.profiles import ProfileService
from actors.commands.events import ListEvents
from actors.commands.profiles import (
    DeleteProfile,
    GetProfile,
    ImportProfiles,
    PatchProfile,
    Profile,
    ProfileSpec,
    PutProfile,
)
from domain.delivery import OfferedDelivery
from domain.errors import ConcurrentWrite, InvalidInput, NotFound, StaleRoutes, StoreUnavailable
from domain.ledger import domain_events
from domain.profile import Profile as FoldedProfile
from domain.profile_change import ProfileKey
from domain.tracking import EventToRecord, RecordedEvents
from tests.application_context import application_context
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, stored

P = ProfileKey("1", "p")
SUB = ProfileKey("1", "p", "orders", "7")
ALL = ("create", "update", "delete")


class Offers:
    """Fake `LoopNotifier` that records offers."""

    def __init__(self) -> None:
        self.offers: list[tuple[str, OfferedDelivery]] = []

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        self.offers += [(loop_id, delivery) for delivery in deliveries]

    def nudge(self, loop_id: str) -> None:
        raise AssertionError(loop_id)


class Interrupted:
    """A ledger before whose next write something else happens, a number of times."""

    def __init__(self, store: Store, before: Callable[[], Awaitable[object]], times: int = 1) -> None:
        self._writer = store.writer
        self._clock = store.clock
        self._before = before
        self._times = times

    async def append_and_record(
        self, changes: Sequence[StoredEvent], routes_version: int, events: Sequence[EventToRecord]
    ) -> RecordedEvents:
        if self._times:
            self._times -= 1
            await self._before()
            self._clock.ms += 1
        return await self._writer.append_and_record(changes, routes_version, events)


class Caller:
    """An account's calls about profiles."""

    def __init__(self, store: Store, tenant: Tenant, ledger: Any = None) -> None:
        self.loops = Offers()
        self.tenant = tenant
        self.account = tenant.view
        self.store = store
        recorder = EventRecorder(ledger or store.writer, store.reader, self.loops)
        self.service = ProfileService(application_context(store), recorder)

    async def put(self, fields: object, *interests: str, key: ProfileKey = P) -> Profile:
        raw = msgspec.Raw(json.dumps(fields).encode())
        return await self.service.put_profile(
            PutProfile(account=self.account, key=key, fields=raw, interests=list(interests))
        )

    async def patch(self, fields: object, interests: list[str] | None = None, key: ProfileKey = P) -> Profile:
        raw = msgspec.Raw(json.dumps(fields).encode())
        return await self.service.patch_profile(
            PatchProfile(account=self.account, key=key, fields=raw, interests=interests)
        )

    async def delete(self, key: ProfileKey = P) -> None:
        await self.service.delete_profile(DeleteProfile(account=self.account, key=key))

    async def get(self, key: ProfileKey = P) -> Profile:
        return await self.service.get_profile(GetProfile(account=self.account, key=key))

    def events(self) -> list[dict[str, Any]]:
        """The fields of the recorded events, oldest first."""
        page = self.store.reader.list_events(ListEvents(account=self.account, limit=200))
        return [json.loads(bytes(each.fields)) for each in reversed(page.data)]

    def types(self) -> list[str]:
        return [each["type"] for each in self.events()]


class ProfilesSuite:
    """Calls about profiles on a store."""

    @pytest.fixture
    def caller(self, store: Store) -> Caller:
        return Caller(store, store.account())

    def test_a_new_profile_is_an_event(self, store: Store, caller: Caller) -> None:
        """`create` has the data of the call and of the profile, and is offered to the loop that subscribed to it."""
        loop = store.active_loop(caller.tenant, triggers=["create"])
        made = store.run(caller.put({"name": "John", "n": 1}, "golf"))

        assert made.created
        (found,) = caller.events()
        assert found | {"event": ""} == {
            "event": "",
            "type": "create",
            "timestamp": "2026-02-02 02:40:00",
            "time": NOW_MS // 1000,
            "database": "1",
            "profile": "p",
            "created": "2026-02-02 02:40:00",
            "modified": "2026-02-02 02:40:00",
            "parameters": {"name": "John", "n": 1, "golf": 1},
            "changed": ["name", "n", "golf"],
            "fields": {"name": "John", "n": 1},
            "interests": ["golf"],
        }
        ((loop_id, offered),) = caller.loops.offers
        (due,) = store.reader.due_deliveries(loop.no, NOW_MS, 10, ())
        assert loop_id == loop.id
        assert (offered.delivery_id, offered.event_id, offered.fields) == (due.delivery_id, due.event_id, due.fields)
        assert json.loads(offered.fields) == found

    def test_an_update_says_what_changed(self, store: Store, caller: Caller) -> None:
        """`update` has the call's parameters, and the names whose value differs, removed ones included."""

        async def act() -> None:
            await caller.put({"a": 1, "b": 2, "c": 3}, "golf", "jam")
            store.clock.ms += 60_000
            await caller.put({"a": 1.0, "b": True, "d": None}, "jam", "tea")
            store.clock.ms += 60_000
            await caller.patch({"b": 2, "d": None}, ["tea"])

        store.run(act())
        _, first, second = caller.events()
        assert (first["parameters"], first["changed"]) == (
            {"a": 1.0, "b": True, "d": None, "jam": 1, "tea": 1},
            ["b", "c", "d", "golf", "tea"],
        )
        assert (first["created"], first["modified"]) == ("2026-02-02 02:40:00", "2026-02-02 02:41:00")
        assert (second["parameters"], second["changed"]) == ({"b": 2, "d": None, "tea": 1, "jam": 0}, ["b", "d", "jam"])
        assert (second["fields"], second["interests"]) == ({"a": 1.0, "b": 2}, ["tea"])
        assert second["modified"] == "2026-02-02 02:42:00"

    def test_nothing_is_written_if_nothing_changed(self, store: Store, caller: Caller) -> None:
        """The order of names and `1` instead of `1.0` is no change: no event, and the same time of the last change."""

        async def act() -> Profile:
            await caller.put({"a": 1, "b": [{"x": 1, "y": 2}]}, "golf", "jam")
            store.clock.ms += 1
            await caller.patch({"b": [{"y": 2.0, "x": 1}]})
            return await caller.put({"b": [{"y": 2, "x": 1.0}], "a": 1.0}, "jam", "golf")

        profile = store.run(act())
        assert (profile.created, profile.modified_at_ms) == (False, NOW_MS)
        assert caller.types() == ["create"]
        assert len([each for each in store.log() if each.topic.startswith("profile.")]) == 1

    def test_subprofiles_are_deleted_first(self, store: Store, caller: Caller) -> None:
        """Each fires its own `delete` with its last data; all are recorded together, the profile last."""
        others = ProfileKey("1", "other"), ProfileKey("1", "other", "orders", "7")

        async def act() -> None:
            for key in (P, *others, SUB, SUB._replace(subprofile_id="8"), SUB._replace(collection="calls")):
                await caller.put({"id": str(key)}, "jam", key=key)
            await caller.delete(SUB._replace(subprofile_id="8"))
            await caller.delete()

        store.run(act())
        deleted = [each for each in caller.events() if each["type"] == "delete"]
        assert [(each.get("collection"), each.get("subprofile")) for each in deleted] == [
            ("orders", "8"),
            ("calls", "7"),
            ("orders", "7"),
            (None, None),
        ]
        assert all((each["database"], each["profile"]) == ("1", "p") for each in deleted)
        assert deleted[3]["fields"] == {"id": str(P)}
        assert (deleted[2]["fields"], deleted[2]["interests"]) == ({"id": str(SUB)}, ["jam"])
        assert not {"parameters", "changed"} & {name for each in deleted for name in each}
        for gone in (P, SUB):
            with pytest.raises(NotFound):
                store.run(caller.get(gone))
            with pytest.raises(NotFound):
                store.run(caller.delete(gone))
        for key in others:
            assert store.run(caller.get(key)).key == key

    def test_a_deleted_profile_can_be_created_again(self, store: Store, caller: Caller) -> None:
        """It is a new profile: `create`, a new time of creation, and no subprofiles."""

        async def act() -> Profile:
            await caller.put({"a": 1})
            await caller.put({"b": 1}, key=SUB)
            await caller.delete()
            store.clock.ms += 1
            made = await caller.put({"a": 1})
            await caller.delete()
            await caller.put({"a": 2})
            await caller.put({"b": 1}, key=SUB)
            return made

        made = store.run(act())
        assert (made.created, made.created_at_ms) == (True, NOW_MS + 1)
        assert caller.types() == ["create", "create", "delete", "delete", "create", "delete", "create", "create"]

    def test_a_stored_profile_is_what_its_history_says(self, store: Store, caller: Caller) -> None:
        """After each call, the row and the version give the aggregate that all of its events give."""
        reader, account = store.reader, caller.account

        async def check(key: ProfileKey) -> None:
            found = reader.stored_profile(caller.tenant.uuid, account.no, key)
            folded = FoldedProfile.from_events(
                domain_events(reader.events_of(FoldedProfile.create_id(caller.tenant.uuid, key)))
            )
            assert found is not None
            assert folded is not None
            assert (found.id, found.version, found.is_deleted) == (folded.id, folded.version, folded.is_deleted)
            assert (found.key, found.fields_json, found.interests) == (folded.key, folded.fields_json, folded.interests)
            if not found.is_deleted:
                times = (found.created_at_ms, found.modified_at_ms)
                assert times == (folded.created_at_ms, folded.modified_at_ms)

        async def act() -> None:
            for key in (P, SUB):
                await caller.put({"a": 1}, "golf", key=key)
                await check(key)
                store.clock.ms += 1
                await caller.patch({"b": [1.50, None]}, key=key)
                await check(key)
            for key in (SUB, P):
                await caller.delete(key)
                await check(key)
            store.clock.ms += 1
            for key in (P, SUB):
                await caller.put({"c": "ü"}, key=key)
                await check(key)

        store.run(act())
        assert reader.stored_profile(caller.tenant.uuid, account.no, ProfileKey("1", "nobody")) is None
        other = store.account()
        assert reader.stored_profile(other.uuid, other.no, P) is None

    def test_a_write_does_not_read_the_history(
        self, store: Store, caller: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So it costs the same after 10,000 updates as after one."""

        def refuse(originator_id: object) -> None:
            raise AssertionError(f"the events of {originator_id} were read")

        monkeypatch.setattr(store.reader, "events_of", refuse)
        for _ in range(2):
            store.run(caller.put({"a": 1}))
            store.run(caller.patch({"a": 2}))
            store.run(caller.put({}, key=SUB))
            store.run(caller.delete())
        assert caller.types() == ["create", "update", "create", "delete", "delete"] * 2

    def test_what_does_not_exist_is_not_found(self, store: Store, caller: Caller) -> None:
        """A PATCH creates nothing, a subprofile needs its profile, and other accounts' profiles do not exist."""
        stranger = Caller(store, store.account())
        store.run(stranger.put({}))
        for call in (
            lambda: caller.patch({"a": 1}),
            lambda: caller.put({}, key=SUB),
            lambda: caller.delete(SUB),
            caller.get,
        ):
            with pytest.raises(NotFound):
                store.run(call())
        assert caller.events() == []

    def test_all_problems_of_a_profile_are_reported(self, store: Store, caller: Caller) -> None:
        """Nothing is written, and the error names each field."""
        for fields, pointers in (([1], ["/fields"]), ({"a[": 1}, ["/fields", "/interests/0"])):
            with pytest.raises(InvalidInput) as caught:
                store.run(caller.put(fields, *["[]"] * (len(pointers) - 1)))
            assert [pointer for pointer, _ in caught.value.problems] == pointers
        assert [each for each in store.log() if each.topic.startswith("profile.")] == []

    def test_filters_of_loops(self, store: Store, caller: Caller) -> None:
        """Databases and collections select; tags belong to messages, so a filter by tag does not affect profiles."""
        tenant = caller.tenant
        store.active_loop(store.account(), triggers=list(ALL))
        wanted = {
            "all": store.active_loop(tenant, triggers=list(ALL)),
            "tags": store.active_loop(tenant, triggers=["create", "click"], tags=["spring"]),
            "database": store.active_loop(tenant, triggers=list(ALL), databases=["1"]),
            "collection": store.active_loop(tenant, triggers=list(ALL), databases=["1"], collections=["orders"]),
        }
        for settings in (
            {"triggers": ["click"]},
            {"triggers": ["update"]},
            {"triggers": ["create"], "databases": ["3"]},
        ):
            store.active_loop(tenant, **settings)

        async def act() -> None:
            for key in (P, SUB, SUB._replace(collection="calls"), ProfileKey("2", "p")):
                await caller.put({"key": str(key)}, key=key)

        store.run(act())
        names = {loop.id: name for name, loop in wanted.items()}
        found: dict[str, list[str]] = {name: [] for name in wanted}
        for loop_id, offered in caller.loops.offers:
            fields = json.loads(offered.fields)
            found[names[loop_id]].append(fields.get("collection", f"profile {fields['database']}"))
        every = ["profile 1", "orders", "calls", "profile 2"]
        assert found == {"all": every, "tags": every, "database": every[:3], "collection": every[:2]}

    def test_a_change_of_routes_is_noticed(self, store: Store, caller: Caller) -> None:
        """A loop that subscribes between look-up and write gets the event, once."""
        tenant = caller.tenant
        store.run(caller.put({"n": 1}))
        loop = store.active_loop(tenant, triggers=["update"])
        store.run(caller.put({"n": 2}))

        assert [loop_id for loop_id, _ in caller.loops.offers] == [loop.id]
        assert caller.types() == ["create", "update"]

    def test_a_writer_that_loses_reads_again(self, store: Store, caller: Caller) -> None:
        """Both changes are in the log, and the second event compares with the first writer's data."""
        store.run(caller.put({"n": 0, "mine": 0}))
        slow = Caller(store, caller.tenant, Interrupted(store, lambda: caller.patch({"n": 1})))
        store.run(slow.patch({"mine": 1}))

        assert [each["changed"] for each in caller.events()[1:]] == [["n"], ["mine"]]
        assert json.loads(bytes(store.run(caller.get()).fields)) == {"n": 1, "mine": 1}

    def test_the_same_put_twice_at_once_is_one_event(self, store: Store, caller: Caller) -> None:
        """The writer that loses finds that nothing is left to change."""
        slow = Caller(store, caller.tenant, Interrupted(store, lambda: caller.put({"n": 1})))
        assert not store.run(slow.put({"n": 1})).created

        assert caller.types() == ["create"]

    def test_many_writers_of_one_profile(self, store: Store, caller: Caller) -> None:
        """Every writer that got an answer is in the data, and each change is one event."""
        store.run(caller.put({}))

        async def act() -> list[object]:
            calls = (caller.patch({f"f{n}": n}) for n in range(12))
            return await asyncio.gather(*calls, return_exceptions=True)

        results = store.run(act())
        assert all(isinstance(each, Profile | ConcurrentWrite) for each in results)
        done = {f"f{n}" for n, each in enumerate(results) if isinstance(each, Profile)}
        assert set(json.loads(bytes(store.run(caller.get()).fields))) == done
        assert sorted(each["changed"][0] for each in caller.events()[1:]) == sorted(done)

    def test_a_subprofile_created_during_the_delete_is_deleted_too(self, store: Store, caller: Caller) -> None:
        """The delete notices it and starts again."""
        store.run(caller.put({}))
        slow = Caller(store, caller.tenant, Interrupted(store, lambda: caller.put({"b": 1}, key=SUB)))
        store.run(slow.delete())

        assert caller.types() == ["create", "create", "delete", "delete"]
        with pytest.raises(NotFound):
            store.run(caller.get(SUB))

    def test_a_subprofile_of_a_profile_deleted_meanwhile_is_refused(self, store: Store, caller: Caller) -> None:
        """Nothing of it is written, whether it is new or had been deleted before."""
        store.run(caller.put({}))
        slow = Caller(store, caller.tenant, Interrupted(store, caller.delete))
        with pytest.raises(NotFound):
            store.run(slow.put({"b": 1}, key=SUB))
        store.run(caller.put({}))
        store.run(caller.put({}, key=SUB))
        store.run(caller.delete(SUB))
        slow = Caller(store, caller.tenant, Interrupted(store, caller.delete))
        with pytest.raises(NotFound):
            store.run(slow.put({"b": 1}, key=SUB))

        assert caller.types() == ["create", "delete", "create", "create", "delete", "delete"]

    def test_a_delete_whose_answer_was_lost_is_done(self, store: Store, caller: Caller) -> None:
        """The repetition inside the call finds nothing left to delete, and that is what was asked for."""
        store.run(caller.put({}))
        slow = Caller(store, caller.tenant, Interrupted(store, caller.delete))
        store.run(slow.delete())

        assert caller.types() == ["create", "delete"]

    def test_an_import_answers_each_profile(self, store: Store, caller: Caller) -> None:
        """Profiles are written on their own, those with the same id in their order."""

        def spec(id_: str, fields: object) -> ProfileSpec:
            return ProfileSpec(id=id_, fields=msgspec.Raw(json.dumps(fields).encode()), interests=[])

        store.run(caller.put({"n": 1}))
        specs = [spec("p", {"n": 1.0}), spec("q", {"n": 1}), spec("q", {"n": 2}), spec("r", [1]), spec("p", {"n": 2})]
        command = ImportProfiles(account=caller.account, database="1", profiles=specs)
        results = store.run(caller.service.import_profiles(command))

        assert [each.result for each in results] == ["unchanged", "created", "updated", None, "updated"]
        assert results[3].rejection is not None
        assert [pointer for pointer, _ in results[3].rejection.problems] == ["/fields"]
        assert sorted(caller.types()) == ["create", "create", "update", "update"]
        again = store.run(caller.service.import_profiles(msgspec.structs.replace(command, profiles=specs[2:3])))
        assert [each.result for each in again] == ["unchanged"]

    def test_an_import_without_events_is_silent(self, store: Store, caller: Caller) -> None:
        """The data is written; no event is recorded, and no loop is told."""
        store.active_loop(caller.tenant, triggers=list(ALL))
        specs = [ProfileSpec(id=str(n), fields=msgspec.Raw(b'{"n": 1}'), interests=[]) for n in range(200)]
        command = ImportProfiles(account=caller.account, database="1", profiles=specs, with_events=False)
        results = store.run(caller.service.import_profiles(command))

        assert {each.result for each in results} == {"created"}
        assert (caller.events(), caller.loops.offers) == ([], [])
        assert bytes(store.run(caller.get(ProfileKey("1", "199"))).fields) == b'{"n": 1}'

    def test_a_store_that_is_away_ends_the_import(self, store: Store, caller: Caller) -> None:
        """The error says so; it is no problem of a single profile."""

        async def fail() -> None:
            raise StoreUnavailable("away")

        broken = Caller(store, caller.tenant, Interrupted(store, fail, times=1000))
        specs = [ProfileSpec(id="p", fields=msgspec.Raw(b"{}"), interests=[])]
        with pytest.raises(StoreUnavailable):
            store.run(
                broken.service.import_profiles(ImportProfiles(account=caller.account, database="1", profiles=specs))
            )

    def test_a_change_and_its_events_are_all_or_nothing(self, store: Store) -> None:
        """Neither a taken version nor an older routing table leaves anything of a request behind."""
        tenant = store.account()
        version = store.reader.routing_table().version
        changes = stored(tenant.profile("1", "p", {}))
        store.run(store.writer.append(changes))
        others, before = stored(tenant.profile("1", "q", {})), store.read_models()

        with pytest.raises(ConcurrentWrite):
            store.run(store.writer.append_and_record([*others, *changes], version, [event(tenant)]))
        with pytest.raises(StaleRoutes):
            store.run(store.writer.append_and_record(others, version - 1, [event(tenant)]))
        assert before == store.read_models()

        recorded = store.run(store.writer.append_and_record(others, version, [event(tenant)]))
        assert (len(recorded.delivery_ids), recorded.duplicates) == (1, [])
