"""Process of the parser in which some mails do what a hostile mail might do to it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from actors.returned_mail import parser_process
from actors.returned_mail.frames import Request
from domain.returned_mail.report import ReturnedMail

parse = parser_process.parse


def hostile_parse(request: Request) -> ReturnedMail:
    """Parses a mail, unless it is an order. The envelope of `exit once` is a file that remembers it."""
    match request.raw:
        case b"exit":
            os._exit(3)
        case b"exit once" if not Path(request.envelope).exists():
            Path(request.envelope).touch()
            os._exit(3)
        case b"hang":
            signal.pause()
        case b"spin":
            while True:
                pass
        case b"fill":
            bytearray(1 << 36)
        case b"raise":
            raise ValueError("odd mail")
    return parse(request)


if __name__ == "__main__":
    parser_process.parse = hostile_parse
    parser_process.main()
