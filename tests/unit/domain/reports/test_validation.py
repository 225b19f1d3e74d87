"""`domain.reports.validation` and the value types of `domain.event_catalogue.report_values`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.event_catalogue.report_fields import REPORT_FIELDS
from domain.event_catalogue.triggers import REPORTED
from domain.reports.validation import MAX_REPORTS, canonical_report, canonical_reports

NOW_MS = 1_772_357_400_000
DAY_S = 24 * 3600
GOOD: dict[str, Any] = {"type": "failure", "message": "m-1"}


def read(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(canonical_report(GOOD | fields, NOW_MS).body)
    return found


def problems(value: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        canonical_report(value, NOW_MS)
    return caught.value.problems


@pytest.mark.parametrize("type_", REPORTED)
def test_every_field_is_accepted_for_every_type(type_: str) -> None:
    """The examples of the table are valid, and all of them are in the canonical report."""
    report = {name: field.example for name, field in REPORT_FIELDS.items()} | {"type": type_}

    assert json.loads(canonical_report(report, NOW_MS).body).keys() == report.keys()


@pytest.mark.parametrize(
    ("field", "value", "canonical"),
    [
        ("code", 550, "550"),
        ("code", "550", "550"),
        ("reference", " <a@b> ", "a@b"),
        ("reference", "provider-1", "provider-1"),
        ("ip", "2001:DB8::0001", "2001:db8::1"),
        ("time", "2026-03-01T10:30:00+01:00", NOW_MS),
        ("time", "2026-03-01T09:30:00.0004999Z", NOW_MS),
        ("time", NOW_MS // 1000, NOW_MS),
        ("time", NOW_MS / 1000 + 0.25, NOW_MS + 250),
        ("time", NOW_MS / 1000 + 600, NOW_MS + 600_000),
        ("time", NOW_MS / 1000 - 90 * DAY_S, NOW_MS - 90 * DAY_S * 1000),
        ("description", "550 first\r\n550\tsecond", "550 first\r\n550\tsecond"),
        ("description", "", ""),
        ("mime", "\0\x1b ü", "\0\x1b ü"),
        ("message", "x" * 200, "x" * 200),
    ],
)
def test_a_value_has_one_spelling(field: str, value: object, canonical: object) -> None:
    """Each spelling of the same value gives the same canonical report, so that repeats are recognised."""
    assert read(**{field: value})[field] == canonical


def test_the_order_of_fields_does_not_matter() -> None:
    """Names are sorted; the caller's own id is returned beside."""
    one = canonical_report({"type": "bounce", "event": "e", "message": "m"}, NOW_MS)

    assert one == canonical_report({"message": "m", "event": "e", "type": "bounce"}, NOW_MS + 5)
    assert one.given_id == "e"


def of(field: str, *values: object) -> list[tuple[str, object]]:
    return [(field, value) for value in values]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *of("type", "open", "click", "create", "Bounce", "", None, 1, ["bounce"]),
        *of("message", "", "x" * 201, "a\nb", None, 1, {}),
        *of("reference", "", "<>", " < > ", "x" * 1001, "a\0b", 7),
        *of("recipient", "nobody", "", "a b@c", "x" * 500 + "@y", None),
        *of("code", 199, 600, 5500, "55", "550 ", "٥٥٠", True, 550.0, None),
        *of("extended", "5", "5.1", "3.1.1", "5.1.1 ", "5.1.1000", "5.١.1", 5, None),
        *of("description", "x" * 4001, "a\0b", 7, None),
        *of("action", "delayed", "", None),
        *of("state", "rcptto", "DATA", "", None),
        *of("ip", "1.2.3", "1.2.3.4/24", "fe80::1%eth0", "::g", 16909060, None),
        *of("event", "", "x" * 201, 7, None),
        *of("envelope", "", "x" * 401, 7),
        *of("emailfrom", "", "x" * 401, None),
        *of("useragent", "", "x" * 1025, None),
        *of("mime", "", 7, None, []),
        *of("time", "yesterday", "2026-03-01", "2026-02-30T00:00:00Z", True, None, 1e300, []),
        ("time", NOW_MS / 1000 + 601),
        ("time", NOW_MS / 1000 - 90 * DAY_S - 1),
        ("time", NOW_MS),
        ("no such field", 1),
        ("Type", "bounce"),
    ],
)
def test_a_wrong_value_is_named(field: str, value: object) -> None:
    """Each problem has the pointer of its field, and the sentence of what it must be."""
    [(pointer, problem)] = problems(GOOD | {field: value})

    assert pointer == f"/{field}"
    assert problem.startswith(("must", "is"))


def test_a_report_needs_a_type_and_a_message() -> None:
    """A message is named by its id or its reference."""
    assert problems({}) == [("/type", "is required"), ("/message", "is required, or `reference` instead of it")]
    assert [pointer for pointer, _ in problems([])] == [""]
    assert json.loads(canonical_report({"type": "abuse", "reference": "a@b"}, NOW_MS).body)["reference"] == "a@b"


def test_a_long_mail_is_cut_between_characters() -> None:
    """At most 512 KiB of UTF-8 are kept, and the report says so."""
    cut = read(type="bounce", mime="x" + "é" * 300_000)

    assert len(cut["mime"].encode()) == 512 * 1024 - 1
    assert cut["mime_truncated"] == 1
    assert "mime_truncated" not in read(type="bounce", mime="é" * (256 * 1024))


def test_an_array_is_all_or_nothing() -> None:
    """Problems are those of all reports, each with the report's position; the limits are those of the contract."""
    with pytest.raises(InvalidInput) as caught:
        canonical_reports([GOOD, GOOD | {"code": 1}, 7, {"type": "x", "message": "m"}], NOW_MS)
    assert [pointer for pointer, _ in caught.value.problems] == ["/1/code", "/2", "/3/type"]
    assert len(canonical_reports([GOOD] * MAX_REPORTS, NOW_MS)) == MAX_REPORTS
    for bad in ([], [GOOD] * (MAX_REPORTS + 1)):
        with pytest.raises(InvalidInput) as caught:
            canonical_reports(list(bad), NOW_MS)
        assert [pointer for pointer, _ in caught.value.problems] == [""]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*REPORT_FIELDS, "other"]), _JSON))
def test_any_value_is_read_or_refused(value: dict[str, Any]) -> None:
    """No JSON value makes it fail in another way, and what it returns is read again unchanged."""
    try:
        report = canonical_report(value, NOW_MS)
    except InvalidInput:
        return
    again = json.loads(report.body)
    if "time" in again:
        again["time"] /= 1000
    again.pop("mime_truncated", None)
    assert canonical_report(again, NOW_MS) == report
