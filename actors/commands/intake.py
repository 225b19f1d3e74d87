"""Encoding of the intake: the entries that the edge journals and the enrichers record.

    entry = MessagePack array [tag, fields] · batch = MessagePack array of entries

Journal, forwarder and gateway pass entries on unopened. All they know is that the fields of every kind of entry start
with the id of its event (UUIDv7, 16 bytes). To add a kind, add its type in `domain.tracking`, its variant here, and its
function in `actors.enrichment.enricher`. A tag keeps its meaning for ever, because journals hold it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec

from actors.compatibility import tolerant_decoder
from domain.errors import InvalidInput
from domain.reports.intake import Report, ReturnedMailEntry
from domain.tracking import Intake, TrackingHit

#: Keeps a batch small enough to be recorded quickly.
MAX_ENTRIES: Final = 256


class _Hit(msgspec.Struct, array_like=True, tag=1, frozen=True):
    entry: TrackingHit


class _Report(msgspec.Struct, array_like=True, tag=2, frozen=True):
    entry: Report


class _ReturnedMail(msgspec.Struct, array_like=True, tag=3, frozen=True):
    entry: ReturnedMailEntry


#: The tagged union: one struct per kind of entry, with a tag up to 127, which takes one byte.
_Variant = _Hit | _Report | _ReturnedMail
_VARIANTS: Final = (_Hit, _Report, _ReturnedMail)

_TAGS: Final = {get_type_hints(each)["entry"]: each.__struct_config__.tag for each in _VARIANTS}
#: An entry up to the end of its event's id, of any kind and with any number of fields.
_START: Final = re.compile(rb"\x92[\x00-\x7f](?:[\x91-\x9f]|\xdc..)\xc4\x10(.{16})", re.DOTALL)

#: How an encoded returned mail begins.
RETURNED_MAIL: Final = b"\x92" + msgspec.msgpack.encode(_TAGS[ReturnedMailEntry])

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Variant]).decode
#: For batches with entries of another version, entry by entry.
_split = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]]).decode
_READERS: Final = {tag: tolerant_decoder(kind) for kind, tag in _TAGS.items()}


class Batch(NamedTuple):
    """A decoded batch."""

    entries: list[Intake]
    #: Positions in the batch of entries with a tag that this version does not know.
    unknown: list[int]


def encode_entry(entry: Intake) -> bytes:
    """The entry as the journal keeps it."""
    return _encode((_TAGS[type(entry)], entry))


def encode_batch(entries: Sequence[bytes]) -> bytes:
    """A batch of encoded entries.

    Raises:
        InvalidInput: more than `MAX_ENTRIES`.
    """
    if len(entries) > MAX_ENTRIES:
        raise InvalidInput(f"{len(entries)} entries in a batch, {MAX_ENTRIES} at most")
    return b"\xdc" + len(entries).to_bytes(2, "big") + b"".join(entries)


def read_batch(body: bytes) -> Batch:
    """Decodes what `encode_batch` made, here or in a neighbouring version.

    Raises:
        InvalidInput: one of the entries is broken.
    """
    try:
        try:
            return Batch([variant.entry for variant in _decode(body)], [])
        except msgspec.ValidationError:  # entries of another version, or broken ones
            return _read_tolerantly(_split(body))
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"a batch of intake cannot be read: {exc}") from exc


def _read_tolerantly(entries: Sequence[tuple[int, Any]]) -> Batch:
    return Batch(
        entries=[_READERS[tag](fields) for tag, fields in entries if tag in _READERS],
        unknown=[position for position, (tag, _) in enumerate(entries) if tag not in _READERS],
    )


def spool_name(entry: bytes) -> str:
    """The name of the spool file of an encoded returned mail; empty if it has none, and for other kinds of entries."""
    if not entry.startswith(RETURNED_MAIL):
        return ""
    try:
        mail: ReturnedMailEntry = _READERS[_TAGS[ReturnedMailEntry]](entry[len(RETURNED_MAIL) :])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return mail.spool


def with_mail(entry: bytes, mime: bytes) -> bytes:
    """An encoded returned mail with the content of its spool file."""
    mail: ReturnedMailEntry = _READERS[_TAGS[ReturnedMailEntry]](entry[len(RETURNED_MAIL) :])
    return encode_entry(mail._replace(mime=mime))


def event_id_of(entry: bytes) -> bytes | None:
    """The id of the event that an encoded entry becomes, also of an unknown kind; None for anything else."""
    start = _START.match(entry)
    return start[1] if start else None


def received_ms(entry: bytes) -> int | None:
    """When the edge received an encoded entry (Unix time, milliseconds): its event's id starts with that."""
    event_id = event_id_of(entry)
    return int.from_bytes(event_id[:6], "big") if event_id else None
