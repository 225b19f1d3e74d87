"""Contract suite for users, sessions, sign-in attempts and API keys. A store subclasses it with a fixture `store`."""

from __future__ import annotations

from uuid import uuid4

import pytest

from actors.ledger.access import port as a
from domain.account import Account
from domain.errors import ConcurrentWrite
from domain.sessions import ABSOLUTE_MS, IDLE_MS, WINDOW_MS
from domain.user import User
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, Store


def change(store: Store, wanted: a.AccessChange) -> int:
    return store.run(store.writer.change_access(wanted))


def user_id(user: User) -> str:
    return id_text("usr", user.id)


class AccessSuite:
    """Users and keys are read models of the log; sessions, sign-in attempts and key uses are stored outside it."""

    def test_users_are_found_until_they_leave(self, store: Store) -> None:
        """Users are found by id, and by address in any case; removed users and their sessions are not."""
        tenant, other = store.account(), store.account()
        assert not store.reader.has_users()
        ann, bob, cal = tenant.user("Ann@Example.com"), tenant.user("bob@example.com"), other.user("cal@example.com")
        store.append(bob, ann, cal)
        change(store, a.BeginSession(hash="s", user_id=user_id(ann)))

        found = store.reader.user_by_email("ANN@example.com")
        assert found is not None
        assert found == store.reader.user(user_id(ann))
        assert (found.account, found.email, found.password_hash) == (tenant.view, "ann@example.com", "hash")
        assert store.reader.has_users()
        assert [row.id for row in store.reader.users(tenant.no, 10)] == [user_id(ann), user_id(bob)]
        assert [row.id for row in store.reader.users(None, 10)] == [user_id(ann), user_id(bob), user_id(cal)]
        assert len(store.reader.users(None, 2)) == 2

        ann.change_password("another", NOW_MS)
        store.append(ann)
        changed = store.reader.user(user_id(ann))
        assert changed is not None
        assert changed.password_hash == "another"
        ann.leave(NOW_MS)
        store.append(ann)
        assert store.reader.user(user_id(ann)) is None
        assert store.reader.user_by_email("ann@example.com") is None
        assert store.reader.session("s") is None

    def test_an_address_belongs_to_one_user(self, store: Store) -> None:
        """An address belongs to one user across all accounts, and is free again once that user is removed."""
        tenant, other = store.account(), store.account()
        first = tenant.user("ann@example.com")
        store.append(first)

        with pytest.raises(ConcurrentWrite):
            store.append(other.user("ANN@example.com"))
        first.leave(NOW_MS)
        store.append(first)
        store.append(other.user("ann@example.com"))
        found = store.reader.user_by_email("ann@example.com")
        assert found is not None
        assert found.account == other.view

    def test_sessions_begin_are_used_and_end(self, store: Store) -> None:
        """A session has a user, a start and a last use, which never moves back; an ended session is gone."""
        ann = store.account().user("ann@example.com")
        store.append(ann)
        change(store, a.BeginSession(hash="s", user_id=user_id(ann)))
        store.clock.ms += 5
        change(store, a.UseSession(hash="s"))
        store.clock.ms -= 3
        change(store, a.UseSession(hash="s"))

        row = store.reader.session("s")
        assert row is not None
        assert (row.user.email, row.began_at_ms, row.used_at_ms) == ("ann@example.com", NOW_MS, NOW_MS + 5)
        change(store, a.EndSession(hash="s"))
        assert store.reader.session("s") is None
        change(store, a.UseSession(hash="s"))
        assert store.reader.session("s") is None

    def test_all_sessions_of_a_user_end_but_one(self, store: Store) -> None:
        """Ending a user's sessions keeps those of other users."""
        tenant = store.account()
        ann, bob = tenant.user("ann@example.com"), tenant.user("bob@example.com")
        store.append(ann, bob)
        for hash_, user in (("a1", ann), ("a2", ann), ("b1", bob)):
            change(store, a.BeginSession(hash=hash_, user_id=user_id(user)))
        change(store, a.EndSessionsOf(user_id=user_id(ann), but="a2"))

        assert [store.reader.session(h) is not None for h in ("a1", "a2", "b1")] == [False, True, True]
        change(store, a.EndSessionsOf(user_id=user_id(ann)))
        assert [store.reader.session(h) is not None for h in ("a2", "b1")] == [False, True]

    def test_expired_sessions_are_removed(self, store: Store) -> None:
        """A new session removes idle sessions of any user, and the user's own overdue ones."""
        tenant = store.account()
        ann, bob = tenant.user("ann@example.com"), tenant.user("bob@example.com")
        store.append(ann, bob)
        change(store, a.BeginSession(hash="idle", user_id=user_id(bob)))
        change(store, a.BeginSession(hash="busy", user_id=user_id(ann)))
        store.clock.ms += ABSOLUTE_MS
        change(store, a.UseSession(hash="busy"))
        change(store, a.BeginSession(hash="new", user_id=user_id(ann)))

        assert [store.reader.session(h) is not None for h in ("idle", "busy", "new")] == [False, False, True]
        store.clock.ms += IDLE_MS - 1
        change(store, a.BeginSession(hash="newer", user_id=user_id(bob)))
        assert store.reader.session("new") is not None

    def test_attempts_are_counted_by_each_key(self, store: Store) -> None:
        """Beyond its limit a key must wait until its window ends; it starts again then, or when it is forgiven."""
        both = a.CountTries(limits={"user": 2, "address": 3})
        assert [change(store, both) for _ in range(2)] == [0, 0]
        store.clock.ms += 60_000
        assert change(store, both) == WINDOW_MS - 60_000
        assert change(store, a.CountTries(limits={"address": 3})) == WINDOW_MS - 60_000
        assert change(store, a.CountTries(limits={"user": 3, "other": 1})) == WINDOW_MS - 60_000
        change(store, a.ForgiveTries(key="user"))
        assert change(store, a.CountTries(limits={"user": 1})) == 0
        store.clock.ms += WINDOW_MS
        assert change(store, both) == 0

    def test_a_key_is_revoked_with_its_uses(self, store: Store) -> None:
        """Keys have a name and a last use; a revoked key opens no account, and its use is not recorded."""
        account = Account.open(uuid4(), "Acme", NOW_MS)
        account.issue_api_key("a" * 64, NOW_MS)
        account.issue_api_key("b" * 64, NOW_MS + 1, "Shop")
        store.append(account)
        view = store.reader.account_by_key("b" * 64)
        assert view is not None
        assert store.reader.account_by_id(view.id) == view
        change(store, a.UseApiKey(hash="b" * 64))
        store.clock.ms += 7
        change(store, a.UseApiKey(hash="b" * 64))

        keys = store.reader.api_keys(view.no, 10)
        assert [(k.hash[0], k.name, k.used_at_ms) for k in keys] == [("b", "Shop", NOW_MS + 7), ("a", "", None)]
        assert store.reader.api_key_used_ms("b" * 64) == NOW_MS + 7
        account.revoke_api_key("b" * 64, NOW_MS)
        store.append(account)
        change(store, a.UseApiKey(hash="b" * 64))
        assert store.reader.account_by_key("b" * 64) is None
        assert store.reader.api_key_used_ms("b" * 64) is None
        assert [k.hash[0] for k in store.reader.api_keys(view.no, 10)] == ["a"]
