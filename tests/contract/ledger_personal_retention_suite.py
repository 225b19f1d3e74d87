"""Contract suite for the retention of personal data: messages, returned mails and the history of profiles."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from actors.commands.messages import ListMessages
from actors.ledger.retention.personal_sweeps import PASS_MS
from actors.ledger.retention.report_sweeps import KEPT_REPORTS_MS
from actors.ports import RetentionLimits
from domain.errors import StaleRoutes
from domain.profile import Profile
from domain.profile_change import ProfileKey
from domain.reports.intake import ReportState
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, outcome
from tests.contract.ledger_reports_suite import listed, record, report

DAY_MS = 86_400_000


def key_at(at_ms: int, number: int = 0) -> int:
    """The key of a message that was registered at this time."""
    return (at_ms << 21) + number


def register(store: Store, tenant: Tenant, at_ms: int, number: int = 0, **facts: object) -> int:
    """Registers a message at a time, and returns its key."""
    key = key_at(at_ms, number)
    store.append(tenant.message(key, at_ms=at_ms, **facts))
    return key


class PersonalRetentionSuite:
    """`RetentionLedger`, for personal data."""

    @pytest.mark.parametrize("limit", [1, 500])
    def test_old_messages_go_with_all_that_belongs_to_them(self, store: Store, limit: int) -> None:
        """Old messages leave the lists and the log; what is left rebuilds the read models, and the id is free again."""
        tenant = store.account()
        keys = [register(store, tenant, NOW_MS + day * DAY_MS, tags=["a", "b"]) for day in range(6)]

        assert store.drop(limit, messages=NOW_MS + 3 * DAY_MS) == 3
        shown = store.reader.list_messages(ListMessages(account=tenant.view, tag="b")).data
        assert [message.key for message in shown] == keys[:2:-1]
        assert store.reader.messages(set(keys)).keys() == set(keys[3:])
        rebuilt = store.another()
        rebuilt.run(rebuilt.writer.append(store.log()))
        left, made = store.read_models(), rebuilt.read_models()
        assert {name: rows for name, rows in left.items() if name != "meta"} == {
            name: rows for name, rows in made.items() if name != "meta"
        }
        register(store, tenant, NOW_MS, message_id=f"m-{keys[0]}")

    def test_messages_with_events_stay(self, store: Store) -> None:
        """An event keeps its message, by which an erasure finds it; the message goes after its last event."""
        tenant = store.account()
        used, unused = register(store, tenant, NOW_MS), register(store, tenant, NOW_MS, 1)
        store.record(event(tenant, used), event(tenant, time_ms=NOW_MS + 1))

        assert store.drop(messages=NOW_MS + DAY_MS) == 1
        assert store.reader.messages({used, unused}).keys() == {used}
        store.clock.ms += PASS_MS
        assert store.drop(events=NOW_MS + 1, messages=NOW_MS + 1) == 2
        assert store.reader.messages({used}) == {}

    def test_an_event_in_progress_is_routed_again(self, store: Store) -> None:
        """An enricher that read the message before it went cannot record an event of it."""
        tenant = store.account()
        key = register(store, tenant, NOW_MS)
        register(store, tenant, NOW_MS + DAY_MS)
        version = store.reader.routing_table().version
        assert store.drop(messages=NOW_MS + 1) == 1

        with pytest.raises(StaleRoutes):
            store.run(store.writer.record_events(version, [event(tenant, key)]))

    def test_the_newest_row_of_the_log_stays(self, store: Store) -> None:
        """A message whose registration is the newest row waits for the next one."""
        tenant = store.account()
        register(store, tenant, NOW_MS)
        assert store.drop(messages=NOW_MS + 1) == 0
        register(store, tenant, NOW_MS + DAY_MS)
        store.clock.ms += PASS_MS

        assert store.drop(messages=NOW_MS + 1) == 1

    def test_a_pass_over_messages_rests(self, store: Store) -> None:
        """Messages that stay are not looked at all the time."""
        tenant = store.account()
        assert store.drop(messages=NOW_MS + 1) == 0
        register(store, tenant, NOW_MS)
        register(store, tenant, NOW_MS + DAY_MS)
        store.clock.ms += PASS_MS - 1
        assert store.drop(messages=NOW_MS + 1) == 0
        store.clock.ms += 1

        assert store.drop(messages=NOW_MS + 1) == 1

    @pytest.mark.parametrize("limit", [1, 2, 500])
    def test_old_mails_go_and_their_events_stay(self, store: Store, limit: int) -> None:
        """A mail goes by the time of its event, unless a delivery waits for it; then it goes after that."""
        tenant = store.account()
        loop = store.active_loop(tenant)
        made = [
            event(tenant, loop_nos=[loop.no], time_ms=NOW_MS + day * DAY_MS, type="bounce")._replace(mime=f"mail {day}")
            for day in range(6)
        ]
        ids = [ids[0] for ids in store.record(*made).delivery_ids]
        store.outcomes(*(outcome(id_) for id_ in ids if id_ != ids[1]))
        store.record(event(tenant, time_ms=NOW_MS + 9 * DAY_MS))

        assert store.drop(limit, mails=NOW_MS + 4 * DAY_MS) == 3
        mails = [store.reader.kept_mail(each.event_id) for each in made]
        assert mails == [None, "mail 1", None, None, "mail 4", "mail 5"]
        store.outcomes(outcome(ids[1], 2))
        store.clock.ms += PASS_MS
        assert store.drop(limit, mails=NOW_MS + 4 * DAY_MS) == 1
        store.clock.ms += PASS_MS
        assert store.drop(limit, mails=NOW_MS + 5 * DAY_MS) == 1
        assert store.reader.kept_mail(made[1].event_id) is None
        assert len(store.reader.due_deliveries(loop.no, 2**47, 9, [])) == 0

    def test_reports_of_no_message_lose_their_text(self, store: Store) -> None:
        """After 30 days, unless a delivery waits for them; what a matched one became stays."""
        tenant = store.account()
        loop = store.active_loop(tenant, triggers=["failure"])
        text = {"mime": "I am john@example.com"}
        unmatched = report(tenant, b"a" * 32, 2, state=ReportState.UNMATCHED, **text)
        awaited = report(tenant, b"b" * 32, 1, state=ReportState.UNREADABLE, loop_nos=[loop.no], **text)
        matched = report(tenant, b"c" * 32, 1, **text)
        [[], [], [delivery], []] = record(store, unmatched, awaited, matched).delivery_ids
        store.clock.ms = NOW_MS + KEPT_REPORTS_MS + 1

        def left() -> list[tuple[bool, bool]]:
            """Whether each event has its mail, and its personal fields."""
            reports = (unmatched, awaited, matched)
            ids = [each.event_id for kept in reports for each in kept.events]
            stored = {each.originator_id: each.state for each in store.log() if each.originator_version == 1}
            return [(store.reader.kept_mail(id_) is not None, b"quoted" in stored[UUID(bytes=id_)]) for id_ in ids]

        store.drop()
        assert left() == [(False, False)] * 2 + [(True, True)] * 2
        assert listed(store, tenant) == [(id_text("rep", awaited.report_id), "unreadable")]
        store.outcomes(outcome(delivery))
        assert store.drop() == 1
        assert left() == [(False, False)] * 3 + [(True, True)]

    def test_reports_without_a_message_go_a_few_at_a_time(self, store: Store) -> None:
        """Each may have half a megabyte of mail, and others wait for the transaction."""
        tenant = store.account()
        many = [report(tenant, bytes([n]) * 32, 2, state=ReportState.UNMATCHED, mime="mail") for n in range(25)]
        record(store, *many)
        store.clock.ms = NOW_MS + KEPT_REPORTS_MS + 1

        at_once = store.run(store.writer.drop_old(RetentionLimits(None, None, None), 500))
        assert (at_once, store.drop()) == (10, 15)
        assert [each for kept in many for each in kept.events if store.reader.kept_mail(each.event_id)] == []

    def test_former_data_of_a_profile_goes_after_its_time(self, store: Store) -> None:
        """Data goes that was replaced before the limit, however old it is; the current data stays."""
        tenant = store.account()
        profile = tenant.profile("1", "p", {"city": "Delft"})
        store.append(profile)
        profile.put('{"city": "Gouda"}', ["golf"], NOW_MS + 5 * DAY_MS)
        store.append(profile)
        profile.put('{"city": "Leiden"}', ["golf"], NOW_MS + 9 * DAY_MS)
        store.append(profile)

        assert store.drop(profile_history=NOW_MS + 5 * DAY_MS) == 0
        assert store.drop(profile_history=NOW_MS + 6 * DAY_MS) == 1
        assert cities(store) == [None, "Gouda", "Leiden"]
        assert store.drop(profile_history=NOW_MS + 10 * DAY_MS) == 1
        assert cities(store) == [None, None, "Leiden"]
        rebuilt = store.another()
        rebuilt.run(rebuilt.writer.append(store.log()))
        assert rebuilt.read_models() == store.read_models()
        found = store.reader.stored_profile(tenant.uuid, tenant.no, ProfileKey("1", "p"))
        assert found is not None
        assert found.fields == {"city": "Leiden"}

    def test_an_address_is_kept_no_longer_than_the_data_that_has_it(self, store: Store) -> None:
        """An erasure finds profiles by it; it is an address of a person itself."""
        tenant = store.account()
        profile = tenant.profile("1", "p", {"email": "ann@example.com"})
        store.append(profile)
        for days, email in ((5, "bob@example.com"), (9, "ann@example.com"), (12, "eve@example.com")):
            profile.put(json.dumps({"email": email}), [], NOW_MS + days * DAY_MS)
            store.append(profile)

        def people() -> list[str]:
            return [row[1].partition("@")[0] for row in store.read_models()["profile_addresses"]]

        assert people() == ["ann", "bob", "eve"]
        store.drop(profile_history=NOW_MS + 6 * DAY_MS)
        assert people() == ["ann", "bob", "eve"]
        store.drop(profile_history=NOW_MS + 10 * DAY_MS)
        assert people() == ["ann", "eve"]
        store.drop(profile_history=NOW_MS + 13 * DAY_MS)
        assert people() == ["eve"]

    def test_the_data_of_a_deleted_profile_goes(self, store: Store) -> None:
        """A profile that was deleted keeps no data, and can be created again."""
        tenant = store.account()
        profile = tenant.profile("1", "p", {"city": "Delft"}, ("orders", "7"))
        store.append(tenant.profile("1", "p", {}), profile)
        profile.delete(NOW_MS + DAY_MS)
        store.append(profile)

        assert store.drop(profile_history=NOW_MS + 2 * DAY_MS) == 1
        assert "Delft" not in repr(store.log())
        found = store.reader.stored_profile(tenant.uuid, tenant.no, profile.key)
        assert found is not None
        found.put('{"city": "Gouda"}', [], NOW_MS + 3 * DAY_MS)
        store.append(found)
        assert store.drop(profile_history=NOW_MS + 9 * DAY_MS) == 0
        assert cities(store)[-1] == "Gouda"


def cities(store: Store) -> list[str | None]:
    """The field `city` of each version of a profile in the log; None without the field."""
    data = [json.loads(each.state) for each in store.log() if each.topic.startswith(Profile.TOPIC)]
    return [json.loads(event["fields_json"]).get("city") for event in data if "fields_json" in event]
