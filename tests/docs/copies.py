"""Copies of files in pages: `<!-- copy of PATH -->` before a block that contains the whole file.

python -m tests.docs.copies     updates the copies after a file has changed

Pages contain copies rather than include directives, so that they look the same in the repository and on the site.
"""

from __future__ import annotations

import re
from typing import Final

from tests.paths import ROOT

PAGES: Final = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
_COPY: Final = re.compile(
    r"(?P<before><!-- copy of (?P<path>\S+) -->\n(?:<!-- snippet: [^\n]* -->\n)?```\w+\n)(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def copied(page: str) -> list[str]:
    """Returns the files that the page has copies of."""
    return [match["path"] for match in _COPY.finditer(page)]


def renewed(page: str) -> str:
    """Returns the page with up-to-date copies.

    Raises:
        ValueError: a file has a line that would end the block.
    """
    return _COPY.sub(lambda match: f"{match['before']}{_text(match['path'])}```", page)


def _text(path: str) -> str:
    text = (ROOT / path).read_text()
    if "\n```" in text:
        raise ValueError(f"{path} has a line that begins with ```")
    return text


if __name__ == "__main__":
    for each in PAGES:
        was = each.read_text()
        if (now := renewed(was)) != was:
            each.write_text(now)
            print(each.relative_to(ROOT))
