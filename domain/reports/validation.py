"""Validation of reports from callers, by the table `domain.event_catalogue.report_fields`.

A valid report becomes its canonical text: one JSON object with sorted names and each value in its only spelling.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from domain.errors import InvalidInput
from domain.event_catalogue.report_fields import REPORT_FIELDS
from domain.kept_ip import KeepIp, kept_ip
from domain.validation import Problems

MAX_REPORTS: Final = 10_000
MAX_BODY_BYTES: Final = 5 * 1024 * 1024
#: Problems named in one answer.
_MAX_PROBLEMS: Final = 100


class CanonicalReport(NamedTuple):
    """A valid report."""

    body: bytes
    #: The caller's own id of it, or None.
    given_id: str | None


def canonical_report(value: object, now_ms: int, keep_ip: KeepIp = KeepIp.FULL) -> CanonicalReport:
    """The canonical text of a report, a JSON value, with what is kept of its `ip`.

    Raises:
        InvalidInput: with every problem and its pointer.
    """
    problems: list[tuple[str, str]] = []
    report = _read(value, now_ms, keep_ip, "", problems)
    _raise(problems)
    return report


def canonical_reports(values: list[object], now_ms: int, keep_ip: KeepIp = KeepIp.FULL) -> list[CanonicalReport]:
    """The canonical texts of an array: all of them, or an error.

    Raises:
        InvalidInput: with the first problems and their pointers.
    """
    if not values:
        raise InvalidInput.at("", "must hold at least one report")
    if len(values) > MAX_REPORTS:
        raise InvalidInput.at("", f"must hold at most {MAX_REPORTS} reports; split it into several requests")
    problems: list[tuple[str, str]] = []
    found = []
    for number, value in enumerate(values):
        found.append(_read(value, now_ms, keep_ip, f"/{number}", problems))
        if len(problems) >= _MAX_PROBLEMS:
            break
    _raise(problems)
    return found


def _raise(found: list[tuple[str, str]]) -> None:
    problems = Problems()
    for pointer, problem in found[:_MAX_PROBLEMS]:
        problems.add(pointer, problem)
    problems.raise_if_any()


def _read(
    value: object, now_ms: int, keep_ip: KeepIp, pointer: str, problems: list[tuple[str, str]]
) -> CanonicalReport:
    if not isinstance(value, dict):
        problems.append((pointer, "must be an object"))
        return CanonicalReport(b"", None)
    known: dict[str, Any] = {}
    for name, given in value.items():
        field = REPORT_FIELDS.get(name)
        if field is None:
            escaped = name.replace("~", "~0").replace("/", "~1")
            problems.append((f"{pointer}/{escaped}", "is not known here; remove it or correct its name"))
            continue
        try:
            known[name] = field.type.read(given, now_ms)
        except ValueError as exc:
            problems.append((f"{pointer}/{name}", str(exc)))
    if "mime" in known and known["mime"] != value["mime"]:
        known["mime_truncated"] = 1
    if "ip" in known and (ip := kept_ip(keep_ip, known.pop("ip"))):
        known["ip"] = ip
    if "type" not in value:
        problems.append((f"{pointer}/type", "is required"))
    if "message" not in value and "reference" not in value:
        problems.append((f"{pointer}/message", "is required, or `reference` instead of it"))
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return CanonicalReport(text.encode("utf-8", "replace"), known.get("event"))
