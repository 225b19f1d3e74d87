"""`domain.enrichment`."""

from __future__ import annotations

from domain.enrichment import event_fields, first_key
from domain.event_catalogue.triggers import Trigger
from domain.tracking import MessageFacts, ProfileFacts, TrackingHit

HIT = TrackingHit(
    event_id=bytes(range(16)),
    kind="click",
    account_no=1,
    message_key=2,
    time_ms=1_700_000_000_999,
    target="https://example.com/?a=1",
    ip="192.0.2.1",
    useragent="Mozilla/5.0 (X11)",
    referer="https://mail.example.com/",
    purpose="",
)
MESSAGE = MessageFacts(2, 1, "m-1", "john@example.com", ["a", "b"], "may", "1", "123")
PROFILE = ProfileFacts("1", "123", {"name": "John"}, ["golf"])


def test_a_click_has_the_contracts_fields_in_order() -> None:
    """Everything known of a click is in the event, under the contract's names and in its order."""
    assert list(event_fields(HIT, MESSAGE, PROFILE, first=True, bot="crawler").items()) == [
        ("id", "m-1"),
        ("message", "m-1"),
        ("event", "evt_000102030405060708090a0b0c0d0e0f"),
        ("type", "click"),
        ("timestamp", "2023-11-14 22:13:20"),
        ("time", 1_700_000_000),
        ("recipient", "john@example.com"),
        ("tags", ["a", "b"]),
        ("mailing", "may"),
        ("ip", "192.0.2.1"),
        ("useragent", "Mozilla/5.0 (X11)"),
        ("referer", "https://mail.example.com/"),
        ("original", "https://example.com/?a=1"),
        ("bot", 1),
        ("bot_reason", "crawler"),
        ("first", 1),
        ("database", "1"),
        ("profile", "123"),
        ("fields", {"name": "John"}),
        ("interests", ["golf"]),
    ]


def test_unknown_fields_are_left_out() -> None:
    """An open of a bare message, by a client without headers, has only certain fields."""
    hit = HIT._replace(kind="open", target="", ip="", useragent="", referer="")
    message = MESSAGE._replace(tags=[], mailing=None, database=None, profile=None)
    assert list(event_fields(hit, message, None, first=False, bot=None)) == [
        "id", "message", "event", "type", "timestamp", "time", "recipient", "tags",
    ]  # fmt: skip


def test_a_missing_profile_is_only_named() -> None:
    """A message may refer to a profile that does not exist yet: its names are included, its data is not."""
    fields = event_fields(HIT, MESSAGE, None, first=False, bot=None)
    assert {"database", "profile"} <= set(fields)
    assert not {"fields", "interests"} & set(fields)


def test_an_unsubscription_has_no_first_and_no_bot() -> None:
    """Only opens and clicks have `first` and `bot`; the person and the origin of an unsubscription are included."""
    fields = event_fields(HIT._replace(kind="unsubscribe", target=""), MESSAGE, PROFILE, first=True, bot="crawler")
    assert not {"first", "bot", "bot_reason", "original"} & set(fields)
    assert {"ip", "useragent", "referer"} <= set(fields)


def test_the_time_is_the_hits_in_utc() -> None:
    """Milliseconds are dropped and not rounded, and the Unix epoch is no special case."""
    fields = event_fields(HIT._replace(time_ms=999), MESSAGE, None, first=False, bot=None)
    assert (fields["timestamp"], fields["time"]) == ("1970-01-01 00:00:00", 0)


def test_first_hits_have_separate_keys() -> None:
    """All opens share a key, each link has its own in 63 bits, and other types have none."""
    keys = {first_key("open", ""), first_key("click", "https://a.example/"), first_key("click", "https://b.example/")}
    assert len(keys) == 3
    assert all(key is not None and 0 <= key < 2**63 for key in keys)
    assert first_key("open", "anything") == first_key("open", "") == 0
    assert first_key("click", "https://a.example/\ud800") not in keys
    assert [first_key(t, "x") for t in Trigger if t not in {Trigger.OPEN, Trigger.CLICK}] == [None] * 8


def test_a_links_key_never_changes() -> None:
    """The key of a URL is stored, so it must be the same in every release."""
    assert first_key("click", "https://example.com/") == 1493557592560457051
