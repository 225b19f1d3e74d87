"""Generator of the reference page of all options.

python -m docs._generate.settings > docs/reference/settings.md
"""

from __future__ import annotations

import sys
from typing import Final

from actors.settings.options import OPTIONS, Option

INTRODUCTION: Final = """\
# Settings

Every option of `feedback-loops serve` is a flag and an environment variable; the flag has precedence. Secrets only have
a variable, because every user of a machine can see the flags of a process. An empty variable counts as not set. The
service reports all problems with its options at once, before it starts anything.

This page is generated from the table in `actors/settings/options.py`.

| flag | variable | meaning | default |
|---|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    return INTRODUCTION + "".join(map(_row, OPTIONS))


def _row(option: Option) -> str:
    flag = f"`{option.flag} {option.metavar}`" if option.flag else ""
    default = option.unset if option.default is None else f"`{option.default}`" if option.default else "none"
    return f"| {flag} | `{option.variable}` | {option.help} | {default} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
