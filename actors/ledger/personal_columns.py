"""Classes of all columns of the store that hold texts or bytes: whether they may reveal a person, and why not.

A column of the class `PERSONAL` is redacted by an erasure and shown by an export. Fields of events, which are within
`stored_events.state`, have their own list (`domain.event_catalogue.event_fields`). Columns of numbers, and UUIDs of
PostgreSQL, reveal no one.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class ColumnClass(Enum):
    """The fate of a column's values when a person is erased."""

    #: They are about a person, and are redacted.
    PERSONAL = "personal"
    #: They stay: they reveal no recipient.
    KEPT = "kept"
    #: They stay, and no one can read them without a key.
    SEALED = "sealed"
    #: They stay, and no one can compute what they are of.
    DIGEST = "digest"


class Column(NamedTuple):
    """The class of a column, and the reason for it."""

    kind: ColumnClass
    reason: str


def _kept(reason: str) -> Column:
    return Column(ColumnClass.KEPT, reason)


def _personal(reason: str) -> Column:
    return Column(ColumnClass.PERSONAL, reason)


_ID: Final = _kept("an id that the service made")
_HASH: Final = Column(ColumnClass.DIGEST, "a hash of a random value")
_KEYED: Final = Column(ColumnClass.DIGEST, "an HMAC with the installation's key")
_OWN_ID: Final = _kept("the caller's id, which must not contain the recipient's address")
_WORD: Final = _kept("one of a few words")
_OPERATORS: Final = _kept("about the account and its users, not about recipients")
_ADDRESS: Final = _personal("an e-mail address in its canonical form")
_PROFILE: Final = _personal("the data of a profile")
_FRONT_END: Final = _kept("a front end's id or name")

_OF_KEY: Final = Column(ColumnClass.DIGEST, "a hash of the caller's text; rows about the person are removed")

#: By table and column.
COLUMNS: Final[dict[str, dict[str, Column]]] = {
    "stored_events": {
        "originator_id": _ID,
        "topic": _WORD,
        "state": _personal("recipients, what they did, returned mails, profile data"),
    },
    "accounts": {"id": _ID, "name": _OPERATORS},
    "api_keys": {"hash": _HASH, "name": _OPERATORS},
    "revoked_api_keys": {"hash": _HASH},
    "api_key_uses": {"hash": _HASH},
    "users": {
        "id": _ID,
        "email": _OPERATORS,
        "password_hash": Column(ColumnClass.SEALED, "Argon2id over an HMAC"),
    },
    "sessions": {"hash": _HASH, "user_id": _ID},
    "sign_in_tries": {"key": _OPERATORS},
    "loops": {"id": _ID, "state": _WORD, "doc": _OPERATORS},
    "messages": {
        "id": _OWN_ID,
        "recipient": _personal("the recipient's address"),
        "tags": _OWN_ID,
        "mailing": _OWN_ID,
        "database": _OWN_ID,
        "profile": _OWN_ID,
        "reference": _personal("the mail's Message-ID, which may be made of the address"),
        "person": _ADDRESS,
        "links": _personal("URLs, which may contain what is known about the recipient"),
    },
    "message_tags": {"tag": _OWN_ID},
    "profiles": {
        "database": _OWN_ID,
        "id": _OWN_ID,
        "originator_id": _ID,
        "interests": _PROFILE,
        "fields": _PROFILE,
    },
    "subprofiles": {
        "database": _OWN_ID,
        "profile": _OWN_ID,
        "collection": _OWN_ID,
        "id": _OWN_ID,
        "originator_id": _ID,
        "interests": _PROFILE,
        "fields": _PROFILE,
    },
    "profile_streams": {"originator_id": _ID, "database": _OWN_ID, "profile": _OWN_ID},
    "profile_addresses": {"person": _ADDRESS, "originator_id": _ID},
    "profile_history": {"originator_id": _ID},
    "events": {"event_id": _ID},
    "meta": {"name": _WORD},
    "deliveries": {"event_id": _ID},
    "reports": {"report_id": _ID, "source": _WORD, "kind": _WORD, "first_id": _ID},
    "report_digests": {
        "digest": Column(ColumnClass.DIGEST, "of a whole report, so that a late repeat is recognised for 100 days"),
        "report_id": _ID,
    },
    "attempts": {
        "error": _WORD,
        "excerpt": _personal("what the handler answered, which may repeat the event"),
        "address": _kept("the handler's IP address"),
        "response_headers": _personal("what the handler answered, which may repeat the event"),
    },
    "loop_health": {"breaker": _WORD, "last_error": _kept("a status, or the service's own words about a connection")},
    "replays": {"state": _WORD, "which": _WORD, "at_event": _ID},
    "erasures": {
        "id": _ID,
        "digest": _KEYED,
        "person": _ADDRESS,
        "step": _WORD,
        "position": _kept("ids and numbers"),
        "outside": _kept("sentences about the store and its copies"),
        "held_up_by": _kept("names of processes, and the service's own words about them"),
    },
    "erasure_histories": {"originator_id": _ID},
    "erasure_front_ends": {"front_end": _FRONT_END},
    "front_end_problems": {"front_end": _FRONT_END, "problem": _kept("a sentence about a file of the front end")},
    "erased_references": {"digest": _KEYED},
    "opt_outs": {"digest": _KEYED},
    "idempotency": {
        "scope": _ID,
        "key": _OF_KEY,
        "fingerprint": _HASH,
        "content_type": _WORD,
        "body": Column(ColumnClass.SEALED, "sealed with a key that only front ends have; removed after a day"),
    },
    "idempotency_messages": {
        "scope": _ID,
        "key": _OF_KEY,
    },
    "installation": {"ring": Column(ColumnClass.SEALED, "keys, wrapped by the master key")},
    "front_ends": {"front_end": _FRONT_END, "name": _FRONT_END, "master": _HASH},
}


def personal_columns() -> set[tuple[str, str]]:
    """The table and the name of each column whose values an erasure redacts."""
    return {
        (table, name)
        for table, columns in COLUMNS.items()
        for name, column in columns.items()
        if column.kind is ColumnClass.PERSONAL
    }
