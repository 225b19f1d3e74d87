"""Erasure of a person: what stays of their events, and digests by which the erased can be recognised.

The decision is to redact in place: an event keeps its type, its time and what it belongs to, and loses every field that
may reveal the person.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from domain.event_catalogue.event_fields import KEPT_FIELDS
from domain.key_derivation import derive

#: The account number of an erasure in all accounts. Accounts have positive numbers.
ALL_ACCOUNTS: Final = 0
#: Marks the fields of a redacted event.
ERASED: Final = "erased"
_DIGEST_PURPOSE: Final = "digests of erased people and references"
_63_BITS: Final = 2**63 - 1


class StepName(StrEnum):
    """The steps of an erasure, in their order; the name is stored."""

    #: The person's address, for an erasure that is repeated by its digest.
    PEOPLE = "people"
    #: The messages, after which nothing more is recorded about them.
    MESSAGES = "messages"
    #: Their events, with deliveries and attempts.
    EVENTS = "events"
    PROFILES = "profiles"
    #: Former data of profiles, and events about them.
    HISTORIES = "histories"
    #: The front ends' journals.
    FRONT_ENDS = "front_ends"
    #: Returned mail.
    MAILS = "mails"
    #: Messages and events once more, for what was on its way into the store at the first time.
    LATE_MESSAGES = "late_messages"
    LATE_EVENTS = "late_events"
    #: Deliveries in the memory of the processes that hold loops.
    LANES = "lanes"
    #: Responses to attempts that were under way.
    ATTEMPTS = "attempts"
    #: Answers of requests with an Idempotency-Key.
    ANSWERS = "answers"
    #: What the store's files still hold of deleted bytes. The person's address is forgotten at its start.
    BYTES = "bytes"


class RunningErasure(NamedTuple):
    """An erasure that has not completed."""

    no: int
    id: str
    #: `ALL_ACCOUNTS`, or one.
    account_no: int
    #: `actors.ledger.people.person_of` the address.
    person: str
    #: `person_digest`.
    digest: bytes
    #: Data up to this Unix time (milliseconds) is erased; whoever has the address later is a new person.
    requested_at_ms: int
    #: Whether it stays known that the person had unsubscribed.
    keep_opt_out: bool
    #: A `StepName`.
    step: str
    #: Progress within the step, as the step writes it; "" at its start.
    position: str
    #: What the step waits for, as `Erasure.waiting_for` shows it: a JSON list.
    held_up_by: str = "[]"


class Counts(NamedTuple):
    """Numbers of things that were redacted."""

    messages: int = 0
    events: int = 0
    deliveries: int = 0
    profiles: int = 0
    mails: int = 0


def redacted_fields(fields_json: str) -> str:
    """The fields of an event without those that may reveal a person. Redacting twice changes nothing.

    A field that the catalogue does not know is left out.
    """
    fields = json.loads(fields_json)
    kept = {name: value for name, value in fields.items() if name in KEPT_FIELDS}
    return json.dumps({**kept, ERASED: 1}, ensure_ascii=False, separators=(",", ":"))


def digest_key(installation: str) -> bytes:
    """The key of all digests, from the installation's id (hexadecimal), which never changes."""
    return derive(bytes.fromhex(installation), _DIGEST_PURPOSE)


def person_digest(key: bytes, person: str) -> bytes:
    """The digest by which an erased person is recognised. `person` is `actors.ledger.people.person_of` the address."""
    return hmac.digest(key, b"person:" + person.encode("utf-8", "surrogatepass"), hashlib.sha256)


def reference_digest(key: bytes, account_no: int, reference: str) -> bytes:
    """The digest by which the reference of an erased message is recognised in its account."""
    told = b"reference:%d:" % account_no + reference.encode("utf-8", "surrogatepass")
    return hmac.digest(key, told, hashlib.sha256)


def profile_event_key(originator_id: UUID) -> int:
    """The `message_key` of the events of a profile or subprofile: negative, so that no message has it."""
    return -((originator_id.int & _63_BITS) or 1)
