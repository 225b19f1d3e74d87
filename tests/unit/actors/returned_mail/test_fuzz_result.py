"""Result of the long search for mails that hurt the parser."""

from __future__ import annotations

import json

from tests.returned_mail_fuzz import RESULT


def test_the_long_search_found_no_error() -> None:
    """No mail ends the parser or takes a second. `make fuzz` writes the file."""
    result = json.loads(RESULT.read_text())
    assert (result["mails"] >= 100_000, result["errors"]) == (True, {})
    assert result["slowest"]["cpu_ms"] < 1000, "a mail may not hold up those behind it"
