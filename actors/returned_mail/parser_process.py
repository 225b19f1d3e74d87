"""Process that parses returned mail (`actors.returned_mail.process_loop`)."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from actors.returned_mail import process_loop
from actors.returned_mail.address_detector import detect_addresses
from actors.returned_mail.frames import Request, Response
from domain.returned_mail.reader import UNREADABLE, needs_addresses, read, with_addresses
from domain.returned_mail.report import ReturnedMail

_DECODER: Final = msgspec.msgpack.Decoder(Request)


def parse(request: Request) -> ReturnedMail:
    """The content of a mail. Looks for recipients in a second way if the first one finds none."""
    report = read(request.raw, request.envelope)
    return with_addresses(report, detect_addresses(request.raw)) if needs_addresses(report) else report


def respond(payload: bytes) -> Response:
    """The response to a request: an error makes a mail unreadable, and lack of memory ends the process."""
    try:
        return Response(parse(_DECODER.decode(payload)))
    except MemoryError:
        # What is left of the heap may not suffice for the next mail either.
        os._exit(1)
    except Exception as exc:  # noqa: BLE001 - no mail may stop those behind it
        return Response(UNREADABLE, f"{type(exc).__name__}: {exc}"[:500])


def main() -> None:
    process_loop.run(lambda payload: msgspec.msgpack.encode(respond(payload)))


if __name__ == "__main__":
    main()
