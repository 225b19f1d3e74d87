"""Fallback for recipients: flufl.bounce, Mailman's detectors of old forms of bounces."""

from __future__ import annotations

import logging
from email import message_from_bytes
from typing import Final

from flufl.bounce import all_failures

from domain.returned_mail.limits import MAX_RECIPIENTS

log = logging.getLogger(__name__)

# It logs a traceback for each error of a detector, also for mail of strangers.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)

#: Its detectors read every line with many patterns, some in quadratic time, so they only get the start of a mail and
#: lines of the length that RFC 5322 allows. Few lines, because each empty one in a DSN begins another message object.
MAX_BYTES: Final = 64 * 1024
MAX_LINES: Final = 1_000
MAX_LINE_BYTES: Final = 998


def detect_addresses(raw: bytes) -> list[str]:
    """Recipients that a notification names, in alphabetical order; empty if none is found."""
    try:
        lines = raw[:MAX_BYTES].splitlines()[:MAX_LINES]
        text = b"\n".join(line[:MAX_LINE_BYTES] for line in lines)
        temporary, permanent = all_failures(message_from_bytes(text))
        found = {address.decode("utf-8", "replace") for address in (*temporary, *permanent)}
    except Exception:
        # The detectors expect well-formed mail: one of them fails for a mail without a sender.
        log.debug("the fallback for recipients failed", exc_info=True, extra={"action": "mail.detector-failed"})
        return []
    return sorted(address for address in found if "@" in address)[:MAX_RECIPIENTS]
