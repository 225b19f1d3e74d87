"""What an erasure keeps of an event, and the digests of the erased."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

from domain.erasure import digest_key, person_digest, profile_event_key, redacted_fields, reference_digest
from domain.event_catalogue.event_fields import FIELDS, KEPT_FIELDS

KEY = digest_key("ab" * 16)


def test_an_event_keeps_only_fields_that_reveal_no_one() -> None:
    """Each field of the catalogue stays or goes as its row says; an unknown one goes."""
    fields = {field.name: field.example for field in FIELDS} | {"unheard of": "x"}
    redacted = json.loads(redacted_fields(json.dumps(fields)))

    assert redacted == {name: fields[name] for name in fields if name in KEPT_FIELDS} | {"erased": 1}
    assert {"recipient", "ip", "fields", "mime", "description"}.isdisjoint(redacted)
    assert {"message", "type", "time", "tags", "mailing"} <= redacted.keys()


def test_redacting_twice_changes_nothing() -> None:
    """The second run of a step writes the same bytes."""
    once = redacted_fields('{"type":"open","recipient":"a@b","tags":["ü"]}')

    assert redacted_fields(once) == once == '{"type":"open","tags":["ü"],"erased":1}'


def test_digests_depend_on_installation_account_and_text() -> None:
    """They are the same for the same input only, and no digest of a person is one of a reference."""
    digests = {
        person_digest(KEY, "a@b"),
        person_digest(digest_key("cd" * 16), "a@b"),
        person_digest(KEY, "a@c"),
        reference_digest(KEY, 1, "a@b"),
        reference_digest(KEY, 2, "a@b"),
    }

    assert len(digests) == 5
    assert person_digest(KEY, "a@b") in digests
    assert {len(digest) for digest in digests} == {32}


def test_no_profile_has_the_key_of_a_message() -> None:
    """Keys of messages are positive, and 0 stands for no message."""
    keys = [profile_event_key(each) for each in (UUID(int=0), UUID(int=2**63), UUID(int=2**128 - 1), uuid4())]

    assert all(-(2**63) < key < 0 for key in keys)
