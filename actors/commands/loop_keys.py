"""Command of a gateway to the process of a loop, after a rotation of the installation's keys. No front end sends it."""

from __future__ import annotations

from typing import ClassVar

from actors.commands.command import Command


class FollowKey(Command[None], frozen=True, kw_only=True):
    """Derives the loop's secret from the installation key with this id. A loop that does so already stays as it is."""

    is_idempotent: ClassVar[bool] = True

    key_id: int
