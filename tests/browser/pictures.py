"""Screenshots of the dashboard for the documentation: the steps of `test_walk`, each stored as a WebP file.

python -m tests.browser.pictures [--out docs/assets/dashboard]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import CHROMIUM
from tests.browser.test_walk import service_and_browser, walk
from tests.paths import ROOT


def main() -> None:
    """Walks through a new service, and replaces the existing pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/assets/dashboard", help="the pictures' folder")
    out: Path = parser.parse_args().out
    if CHROMIUM is None:
        sys.exit("Chromium is not installed. Install it with `apt-get install chromium`")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, service_and_browser(Path(folder), out) as (service, browser):
        walk(service, browser)
    for picture in sorted(out.glob("*.webp")):
        print(f"{picture.stat().st_size / 1000:6.1f} kB  {picture}")


if __name__ == "__main__":
    main()
