"""Addresses as arguments of commands: `-` reads one from standard input, where other users cannot see it."""

from __future__ import annotations

import argparse
from typing import Final

from api.cli.api_client import Misused
from api.cli.terminal import read_stdin

_STDIN: Final = "-"


def add_address(parser: argparse.ArgumentParser) -> None:
    """Adds the argument EMAIL."""
    parser.add_argument(
        "email",
        metavar="EMAIL",
        help="the person's e-mail address; - reads it from stdin: other users of the machine can see arguments, and "
        "shells keep them",
    )


def address_of(options: argparse.Namespace) -> str:
    """The address that was given.

    Raises:
        Misused: standard input has none.
    """
    email = str(options.email)
    if email != _STDIN:
        return email
    try:
        email = read_stdin().strip()
    except ValueError as exc:
        raise Misused("standard input is not UTF-8") from exc
    if not email or len(email.split()) != 1:
        raise Misused("standard input must hold one e-mail address")
    return email
