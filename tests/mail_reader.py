"""Reader of returned mails for tests of enrichment: parses in this process."""

from __future__ import annotations

from actors.enrichment.mails import MailReader
from domain.key_set import KeySet
from domain.return_path import ReturnPathTokens, return_path_keys
from domain.returned_mail.reader import read
from domain.returned_mail.report import ReturnedMail
from domain.tokens import TrackingTokens, tracking_keys
from tests.keys import KEYS

TRACKING = TrackingTokens.of_installation(KEYS)
RETURN_PATH = ReturnPathTokens.of_installation(KEYS)


class DirectParser:
    """Parses without a process of its own."""

    async def parse(self, raw: bytes, envelope: str = "") -> ReturnedMail:
        return read(raw, envelope)


async def read_keys() -> tuple[KeySet, KeySet]:
    return tracking_keys(KEYS), return_path_keys(KEYS)


def make_mail_reader() -> MailReader:
    return MailReader(DirectParser(), TRACKING, RETURN_PATH, read_keys)
