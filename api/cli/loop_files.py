"""Subcommands of `loops` whose output belongs into a file: the proof, and the signing secret."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from api.cli.api_client import Service, path
from api.cli.console import Screen
from api.cli.terminal import OK

LOOP: Final = "/v1/feedback-loops/{}"


def proof(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    """Writes the verification file: its content to standard output, or the file to a directory."""
    found = service.ask("GET", path(LOOP, options.loop))["verification"]
    screen.json(found)
    if options.dir is not None:
        # The name comes from the service; only its last part may choose where the file goes.
        file = options.dir / Path(found["file_name"]).name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found["file_content"], "utf-8")
        screen.beside(f"wrote {file}")
    elif not screen.is_json:
        sys.stdout.write(found["file_content"])
    return OK


def secret(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    """Prints the current secret."""
    found = service.ask("GET", path(f"{LOOP}/secret", options.loop))
    screen.json(found)
    screen.say(found["secret"])
    return OK
