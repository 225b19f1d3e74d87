"""Feedback loops for tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.feedback_loop import FeedbackLoop
from domain.loop_settings import LoopSettings

LOOP_ID = UUID(int=0x70)
URL = "https://example.com/dir/script.php"
#: A verification token: the part in the file's name, and its content.
TOKEN = "1a" * 16 + "2b" * 32


def a_loop(at_ms: int = 1, url: str = URL, **settings: Any) -> FeedbackLoop:
    """An unverified loop; `settings` replace its ordinary ones."""
    return FeedbackLoop.register(
        loop_id=LOOP_ID,
        account_no=1,
        account_id="acc_" + "0" * 32,
        url=url,
        settings=LoopSettings.of({"triggers": ["open", "click"], "signature": "cavage"} | settings),
        verification_token=TOKEN,
        key_id=1,
        at_ms=at_ms,
    )
