"""Feedback loops for tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.feedback_loop import FeedbackLoop

LOOP_ID = UUID(int=0x70)
URL = "https://example.com/dir/script.php"


def a_loop(at_ms: int = 1, **settings: Any) -> FeedbackLoop:
    """An unverified loop; `settings` replace its ordinary ones."""
    ordinary: dict[str, Any] = {
        "loop_id": LOOP_ID,
        "account_no": 1,
        "account_id": "acc_" + "0" * 32,
        "url": URL,
        "triggers": ["open", "click"],
        "format": "form",
        "tags": [],
        "databases": [],
        "collections": [],
        "rate_limit": None,
        "max_concurrency": 16,
        "ordered": False,
        "signature": "cavage",
        "description": "",
        "verification_token": "token-1",
        "at_ms": at_ms,
    }
    return FeedbackLoop.register(**(ordinary | settings))
