"""Export of everything that is kept about a person, as NDJSON, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from actors.commands.recipients import ExportedRecord, ExportPage, ProfileVersion
from api.http.problems import problem_of
from api.schemas import recipients as kinds
from api.schemas.base import time_text
from api.schemas.views import delivery_view, event_view, listed_message_view, profile_view, report_view
from api.tracking.urls import TrackingUrls
from domain.errors import FeedbackLoopsError

#: Attempts to read a page while a part of the service is being restarted, and the seconds between them.
TRIES: Final = 10
PAUSE_S: Final = 1.0

#: Reads the page after a cursor.
ReadPage = Callable[[str | None], Awaitable[ExportPage]]


async def export_lines(first: ExportPage, read_page: ReadPage, urls: TrackingUrls) -> AsyncIterator[bytes]:
    """The lines of an export, some at a time. The last line shows whether it is complete.

    `first`: the first page, which was read before the response began, so that its errors have their status.
    """
    page, count = first, 0
    while True:
        count += len(page.records)
        if page.records:
            yield b"".join(_line(_document(record, urls)) for record in page.records)
        if page.next is None:
            yield _line({"record": kinds.END, "lines": count})
            return
        try:
            page = await _read(read_page, page.next)
        except FeedbackLoopsError as exc:
            yield _line({"record": kinds.PROBLEM, **problem_of(exc, is_known=True).document()})
            return


async def _read(read_page: ReadPage, cursor: str) -> ExportPage:
    for _ in range(TRIES - 1):
        try:
            return await read_page(cursor)
        except FeedbackLoopsError:
            await asyncio.sleep(PAUSE_S)
    return await read_page(cursor)


def _line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def _document(record: ExportedRecord, urls: TrackingUrls) -> dict[str, Any]:
    """The line of a record, of which exactly one attribute is set."""
    match record:
        case ExportedRecord(message=message) if message is not None:
            return _shown(kinds.MESSAGE, listed_message_view(message, urls))
        case ExportedRecord(event=event) if event is not None:
            return _shown(kinds.EVENT, event_view(event))
        case ExportedRecord(mail=mail) if mail is not None:
            return {"record": kinds.MAIL, "event": mail.event, "mime": mail.mime}
        case ExportedRecord(delivery=delivery) if delivery is not None:
            return _shown(kinds.DELIVERY, delivery_view(delivery.delivery)) | {"feedback_loop": delivery.loop_id}
        case ExportedRecord(profile=profile) if profile is not None:
            kind = kinds.PROFILE if profile.key.collection is None else kinds.SUBPROFILE
            return _shown(kind, profile_view(profile))
        case ExportedRecord(version=version) if version is not None:
            return _version(version)
        case ExportedRecord(report=report) if report is not None:
            return _shown(kinds.REPORT, report_view(report))
        case ExportedRecord(opted_out_at_ms=at_ms) if at_ms is not None:
            return {"record": kinds.OPT_OUT, "opted_out_at": time_text(at_ms)}
    return {"record": kinds.ERASURE, "id": record.erasure}


def _shown(kind: str, view: BaseModel) -> dict[str, Any]:
    return {"record": kind, **view.model_dump(exclude_unset=True)}


def _version(version: ProfileVersion) -> dict[str, Any]:
    key = version.key
    names = {"database": key.database, "id": key.profile_id}
    if key.collection is not None:
        names = {
            "database": key.database,
            "profile": key.profile_id,
            "collection": key.collection,
            "id": key.subprofile_id or "",
        }
    return {
        "record": kinds.VERSION,
        **names,
        "change": version.change,
        "time": time_text(version.at_ms),
        "fields": msgspec.json.decode(version.fields),
        "interests": version.interests,
    }
