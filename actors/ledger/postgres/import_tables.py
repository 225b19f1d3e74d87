"""Tables that an import copies from SQLite to PostgreSQL, and how to read their rows in the same order from both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from actors.ledger.rollups import COLUMNS

Row = tuple[Any, ...]


class Table(NamedTuple):
    """A table with the same columns in both stores, except that SQLite may name one of them differently."""

    name: str
    #: The key columns come first; they order the rows.
    columns: Sequence[str]
    key_length: int = 1
    #: Columns with 16-byte ids.
    ids: frozenset[str] = frozenset()
    #: A column, and its name in SQLite.
    in_sqlite: tuple[str, str] | None = None

    def select(self, limit: int, *, on_sqlite: bool, is_first: bool) -> str:
        """SQL for the next rows after a key, for one of the stores."""
        columns = [self._column(name, on_sqlite=on_sqlite) for name in self.columns]
        key = ", ".join(columns[: self.key_length])
        marks = ", ".join("?" if on_sqlite else "%s" for _ in range(self.key_length))
        after = "" if is_first else f" WHERE ({key}) > ({marks})"
        return f"SELECT {', '.join(columns)} FROM {self.name}{after} ORDER BY {key} LIMIT {limit}"  # noqa: S608 - names

    def _column(self, name: str, *, on_sqlite: bool) -> str:
        return self.in_sqlite[1] if on_sqlite and self.in_sqlite is not None and self.in_sqlite[0] == name else name

    def comparable(self, row: Row) -> Row:
        """The row with its ids as bytes, so that rows of both stores compare equal."""
        if not self.ids:
            return tuple(row)
        return tuple(_id_bytes(v) if n in self.ids else v for n, v in zip(self.columns, row, strict=True))

    def key_of(self, row: Row) -> Row:
        """The key of a row, after which the next batch starts."""
        return tuple(row[: self.key_length])


def _id_bytes(value: Any) -> bytes | None:
    """The bytes of an id given as a blob, hexadecimal text or UUID; None for no id."""
    if value is None or isinstance(value, bytes):
        return value
    return bytes.fromhex(str(value).replace("-", ""))


TABLES: Final = (
    Table(
        "stored_events",
        ("notification_id", "originator_id", "originator_version", "topic", "state"),
        ids=frozenset({"originator_id"}),
        in_sqlite=("notification_id", "rowid"),
    ),
    Table("accounts", ("no", "id", "name", "created_at_ms")),
    Table("api_keys", ("hash", "account_no", "issued_at_ms", "name")),
    Table("revoked_api_keys", ("hash", "account_no", "revoked_at_ms")),
    Table("api_key_uses", ("hash", "used_at_ms")),
    Table("users", ("id", "account_no", "email", "password_hash", "joined_at_ms")),
    Table("sessions", ("hash", "user_id", "began_at_ms", "used_at_ms")),
    Table("sign_in_tries", ("key", "count", "since_ms")),
    Table("loops", ("no", "id", "account_no", "state", "doc", "deleted")),
    Table(
        "messages",
        (
            *("key", "account_no", "id", "recipient", "tags"),
            *("mailing", "database", "profile", "created_at_ms", "reference", "person", "erased_at_ms"),
            "links",
        ),
    ),
    Table("message_tags", ("account_no", "tag", "message_key")),
    Table(
        "profiles",
        (
            *("account_no", "database", "id"),
            *("originator_id", "created_at_ms", "modified_at_ms", "interests", "fields"),
        ),
        key_length=3,
        ids=frozenset({"originator_id"}),
    ),
    Table(
        "subprofiles",
        (
            *("account_no", "database", "profile", "collection", "id"),
            *("originator_id", "created_at_ms", "modified_at_ms", "interests", "fields"),
        ),
        key_length=5,
        ids=frozenset({"originator_id"}),
    ),
    Table(
        "profile_streams",
        ("originator_id", "account_no", "database", "profile", "is_profile"),
        ids=frozenset({"originator_id"}),
    ),
    Table(
        "profile_addresses",
        ("account_no", "person", "originator_id"),
        key_length=3,
        ids=frozenset({"originator_id"}),
    ),
    Table("profile_history", ("superseded_at_ms", "originator_id", "version"), 3, frozenset({"originator_id"})),
    Table("events", ("account_no", "event_id", "type", "message_key"), key_length=2, ids=frozenset({"event_id"})),
    Table("first_hits", ("message_key", "first_key"), key_length=2),
    Table(
        "reports",
        ("account_no", "report_id", "state", "source", "kind", "events", "truncated", "first_id"),
        key_length=2,
        ids=frozenset({"report_id", "first_id"}),
    ),
    Table("report_digests", ("digest", "report_id"), ids=frozenset({"report_id"})),
    Table(
        "deliveries",
        (
            *("id", "loop_no", "event_id", "type", "state"),
            *("attempts", "created_at_ms", "due_at_ms", "forgiven"),
        ),
        ids=frozenset({"event_id"}),
    ),
    Table(
        "attempts",
        (
            *("delivery_id", "no"),
            *("at_ms", "duration_ms", "status", "error", "excerpt", "address", "response_bytes", "response_headers"),
        ),
        key_length=2,
    ),
    Table(
        "idempotency",
        (
            *("scope", "key"),
            *("fingerprint", "leased_until_ms", "kept_until_ms", "status", "content_type", "body"),
        ),
        key_length=2,
    ),
    Table("idempotency_messages", ("scope", "key", "message_key"), key_length=3),
    Table(
        "erasures",
        (
            *("no", "id", "account_no", "digest", "person", "requested_at_ms", "keep_opt_out", "is_repeat"),
            *("step", "position"),
            *("completed_at_ms", "messages", "events", "deliveries", "profiles", "mails", "outside", "held_up_by"),
        ),
    ),
    Table("erasure_keys", ("erasure_no", "message_key", "is_partial"), key_length=2),
    Table(
        "erasure_histories",
        (
            *("erasure_no", "originator_id"),
            *("whole_until", "whole_until_ms", "partly_until", "partly_until_ms"),
        ),
        key_length=2,
        ids=frozenset({"originator_id"}),
    ),
    Table("erasure_deliveries", ("erasure_no", "delivery_id"), key_length=2),
    Table("erasure_front_ends", ("erasure_no", "front_end"), key_length=2),
    Table("front_end_problems", ("front_end", "problem")),
    Table("erased_references", ("account_no", "digest", "message_key"), key_length=2),
    Table("opt_outs", ("account_no", "digest", "opted_out_at_ms"), key_length=2),
    Table("meta", ("name", "value")),
    Table("attempt_minutes", ("loop_no", "minute", *COLUMNS), key_length=2),
    Table("event_minutes", ("account_no", "minute", "type", "count"), key_length=3),
    Table("delivery_ids", ("last_id",)),
    Table(
        "replays",
        (
            *("id", "loop_no", "state", "which", "since_ms", "until_ms", "count"),
            *("done", "created_at_ms", "at_created_at_ms", "at_id", "is_estimate", "at_event"),
        ),
    ),
    Table(
        "loop_health",
        (
            *("loop_no", "breaker", "failing_since_ms", "last_success_ms"),
            *("last_failure_ms", "failures", "next_probe_ms", "failing_ms", "last_error"),
        ),
    ),
)
