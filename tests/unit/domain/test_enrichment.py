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


def test_a_click_has_the_contracts_fields_in_the_contracts_order() -> None:
    """Everything that is known of a click is told, under the contract's names and in its order."""
    assert list(event_fields(HIT, MESSAGE, PROFILE, first=True, bot="crawler").items()) == [
        ("id", "m-1"),
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


def test_what_is_not_known_is_left_out() -> None:
    """An open of a bare message, by a client that says nothing, has only what is certain."""
    hit = HIT._replace(kind="open", target="", ip="", useragent="", referer="")
    message = MESSAGE._replace(tags=[], mailing=None, database=None, profile=None)
    assert list(event_fields(hit, message, None, first=False, bot=None)) == [
        "id", "event", "type", "timestamp", "time", "recipient", "tags",
    ]  # fmt: skip


def test_a_profile_that_is_not_there_yet_is_named_only() -> None:
    """A message may refer to a profile that was never put: its names are told, its data is not known."""
    fields = event_fields(HIT, MESSAGE, None, first=False, bot=None)
    assert {"database", "profile"} <= set(fields)
    assert not {"fields", "interests"} & set(fields)


def test_an_unsubscription_is_no_first_and_no_bots() -> None:
    """`first` and `bot` are told of opens and clicks only; who unsubscribed from where is told."""
    fields = event_fields(HIT._replace(kind="unsubscribe", target=""), MESSAGE, PROFILE, first=True, bot="crawler")
    assert not {"first", "bot", "bot_reason", "original"} & set(fields)
    assert {"ip", "useragent", "referer"} <= set(fields)


def test_the_time_is_the_hits_in_utc() -> None:
    """Milliseconds are dropped, not rounded, and the start of Unix time is no special case."""
    fields = event_fields(HIT._replace(time_ms=999), MESSAGE, None, first=False, bot=None)
    assert (fields["timestamp"], fields["time"]) == ("1970-01-01 00:00:00", 0)


def test_firsts_are_kept_apart() -> None:
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
