"""Erasures among random profiles: the person's data is gone, and everyone else's is as it was."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import NotFound
from domain.profile_change import ProfileKey
from tests.contract.erasing import Eraser
from tests.contract.ledger_facts import Store, stored
from tests.contract.ledger_profiles_suite import Caller
from tests.contract.sqlite_store import sqlite_stores

JOHN, JANE = "john@example.com", "jane@example.com"
PROFILES = [ProfileKey("1", name) for name in "pq"]
KEYS = [*PROFILES, *(key._replace(collection="c", subprofile_id=name) for key in PROFILES for name in "xy")]

fields = st.dictionaries(
    st.sampled_from(["a", "b", "note"]),
    st.sampled_from([JOHN, " John@Example.com ", JANE, f"ask {JOHN[:4]}", None, 5, ["list"]]),
    max_size=3,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), fields),
        st.tuples(st.just("patch"), st.sampled_from(KEYS), fields),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.none()),
        st.tuples(st.just("message"), st.sampled_from(PROFILES), st.sampled_from([JOHN, JANE])),
    ),
    max_size=14,
)


@dataclass
class Member:
    """A profile or subprofile since it was last created."""

    data: dict[str, Any]
    is_new: bool
    #: Whether the address has been in its older data.
    had_address: bool = False
    #: Texts that only its older or only its newer data has had.
    old_marks: set[str] = field(default_factory=set)
    new_marks: set[str] = field(default_factory=set)


class Model:
    """The profiles as the calls have left them, and how an erasure must leave them."""

    def __init__(self) -> None:
        self.members: dict[ProfileKey, Member] = {}
        #: Texts of deleted profiles, by family.
        self.dead_marks: dict[ProfileKey, set[str]] = {}
        self.had_address: set[ProfileKey] = set()
        self.was_deleted: set[ProfileKey] = set()
        #: Time, profile and recipient of each message.
        self.messages: list[tuple[int, ProfileKey, str]] = []
        self.born_ms: dict[ProfileKey, int] = {}

    def write(self, key: ProfileKey, data: dict[str, Any], at_ms: int, *, is_whole: bool, is_new: bool) -> None:
        member = self.members.get(key)
        if member is None:
            member = self.members[key] = Member({}, is_new)
            self.born_ms[key] = at_ms
        member.is_new = is_new if is_whole else member.is_new
        merged = {name: value for name, value in {**member.data, **data}.items() if data.get(name, "") is not None}
        member.data = data if is_whole else merged
        (member.new_marks if member.is_new else member.old_marks).add(data["mark"])
        if not member.is_new and has_address(member.data):
            member.had_address = True
            self.had_address.add(key.parent)

    def delete(self, key: ProfileKey) -> None:
        gone = [each for each in self.members if each == key or (key.collection is None and each.parent == key)]
        for each in gone:
            member = self.members.pop(each)
            self.was_deleted.add(each)
            self.dead_marks.setdefault(key.parent, set()).update(member.old_marks)

    def erase(self, until_ms: int) -> tuple[set[str], set[str]]:
        """Erases John. Returns the texts that must be gone, and those that must still be there."""
        gone: set[str] = set()
        for profile in PROFILES:
            family = {key: member for key, member in self.members.items() if key.parent == profile}
            named = [(at_ms, who) for at_ms, which, who in self.messages if which == profile]
            own = [at_ms for at_ms, who in named if who == JOHN and at_ms <= until_ms]
            top = family.get(profile)
            since_ms = self.born_ms[profile] if top and profile in self.was_deleted else 0
            is_linked = any(member.had_address for member in family.values()) or (
                top is not None and any(at_ms >= since_ms for at_ms in own)
            )
            if is_linked:
                old = {key: member for key, member in family.items() if not member.is_new}
                has_others = any(who == JANE for _, who in named) or any(
                    JANE in map(address, member.data.values()) for member in old.values()
                )
                gone |= self._erase_family(profile, family, old, is_persons=not has_others)
                is_gone = not has_others
            else:
                is_gone = profile in self.had_address or bool(own)
            if is_gone:
                gone |= self.dead_marks.get(profile, set())
        kept = {str(member.data["mark"]) for member in self.members.values() if "mark" in member.data}
        return gone - kept, kept

    def _erase_family(
        self, profile: ProfileKey, family: dict[ProfileKey, Member], old: dict[ProfileKey, Member], *, is_persons: bool
    ) -> set[str]:
        if not is_persons:
            for member in old.values():
                member.data = {name: value for name, value in member.data.items() if address(value) != JOHN}
            return set()
        for key in old:
            if key == profile and len(old) < len(family):
                self.members[key].data = {}
            else:
                del self.members[key]
        return {mark for member in family.values() for mark in member.old_marks}


def address(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def has_address(data: dict[str, Any]) -> bool:
    return JOHN in map(address, data.values())


async def act(caller: Caller, model: Model, store: Store, calls: list[Any], marks: Any, *, is_new: bool) -> None:
    """Makes calls, each a second after the one before, in the ledger and in the model."""
    for kind, key, data in calls:
        store.clock.ms += 1000
        at_ms = store.clock.ms
        if kind == "message":
            message = caller.tenant.message(
                next(marks), recipient=data, database="1", profile=key.profile_id, at_ms=at_ms
            )
            await store.writer.append(stored(message))
            model.messages.append((at_ms, key, data))
            continue
        try:
            if kind == "delete":
                await caller.delete(key)
                model.delete(key)
                continue
            marked = {**data, "mark": f"mark-{next(marks)}-"}
            if kind == "put":
                await caller.put(marked, key=key)
            else:
                await caller.patch(marked, key=key)
            model.write(key, marked, at_ms, is_whole=kind == "put", is_new=is_new)
        except NotFound:
            continue


def shows_address(state: dict[str, Any], until_ms: int) -> bool:
    """Whether a stored event of before the request has the address in the data of a profile."""
    if int(state.get("at_ms") or state["time_ms"]) > until_ms:
        return False
    if "fields_json" in state:
        return has_address(json.loads(state["fields_json"]))
    of_event = json.loads(state.get("fields", "{}"))
    return any(has_address(of_event.get(name, {})) for name in ("fields", "parameters"))


@settings(max_examples=40, deadline=None)
@given(before=steps, after=steps)
def test_an_erasure_removes_the_person_and_nothing_else(before: list[Any], after: list[Any]) -> None:
    """After calls before the request, and others between the request and the erasure."""
    with tempfile.TemporaryDirectory() as directory, sqlite_stores(Path(directory)) as store:
        caller, model, marks = Caller(store, store.account()), Model(), count(100)
        store.run(act(caller, model, store, before, marks, is_new=False))
        until_ms = store.clock.ms
        store.run(act(caller, model, store, after, marks, is_new=True))
        store.clock.ms += 1000
        eraser = Eraser(store)
        eraser.erase(JOHN, caller.tenant.no, until_ms)
        gone, kept = model.erase(until_ms)

        for key in KEYS:
            try:
                found = json.loads(bytes(store.run(caller.get(key)).fields))
            except NotFound:
                found = None
            member = model.members.get(key)
            assert found == (None if member is None else member.data), key
        log = [bytes(each.state).decode() for each in store.log()]
        everything = repr(log) + repr(store.read_models())
        assert {mark for mark in gone if mark in everything} == set()
        assert {mark for mark in kept if mark not in everything} == set()
        assert [each for each in map(json.loads, log) if shows_address(each, until_ms)] == []
        rebuilt = store.another()
        rebuilt.run(rebuilt.writer.append(store.log()))
        tables = ("profiles", "subprofiles", "profile_streams", "profile_addresses")
        assert [rebuilt.read_models()[name] for name in tables] == [store.read_models()[name] for name in tables]
