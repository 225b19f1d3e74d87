"""Commands about the installation's keys. None of them contains a key."""

from __future__ import annotations

from actors.commands.command import Command
from actors.compatibility import WireStruct


class InstallationKey(WireStruct, frozen=True, kw_only=True):
    """A key. Times are Unix milliseconds."""

    id: int
    #: `signs`, `waits` for front ends, or `reads`.
    state: str
    created_ms: int
    signs_from_ms: int | None
    signs_until_ms: int | None


class KeyHolder(WireStruct, frozen=True, kw_only=True):
    """A front end, and what it has confirmed to have on its disk."""

    id: str
    name: str
    generation: int
    #: Fingerprint of its master key.
    master_key: str
    confirmed_ms: int
    #: Whether a rotation waits for it.
    is_awaited: bool


class KeyStatus(WireStruct, frozen=True, kw_only=True):
    """The installation's keys and the front ends that have them."""

    #: Fingerprint of the installation.
    installation: str
    created_ms: int
    generation: int
    keys: list[InstallationKey]
    #: Fingerprint of the master key that wraps them.
    master_key: str
    #: That of the one that is to replace it, while front ends still use the former one.
    next_master_key: str | None
    front_ends: list[KeyHolder]
    #: Feedback loops whose secret still derives from another key than the one that signs.
    loops_to_follow: int


class KeyUse(WireStruct, frozen=True, kw_only=True):
    """Everything that ends with a key."""

    #: Messages that were registered while it signed, to within seconds. All of their links end.
    messages: int
    #: Users who have to get a new password.
    passwords: int
    #: Feedback loops whose current secret derives from it.
    secrets: int
    #: Feedback loops with headers that are sealed with it.
    headers: int


class ReadKeyGeneration(Command[int], frozen=True, kw_only=True):
    """Reads the generation of the key ring that the data directory has, once it was compared with the store."""


class ReadKeyStatus(Command[KeyStatus], frozen=True, kw_only=True):
    """Reads which keys there are and who has them."""


class RotateInstallationKey(Command[KeyStatus], frozen=True, kw_only=True):
    """Adds a key. It signs once every known front end has it."""


class RotateMasterKey(Command[KeyStatus], frozen=True, kw_only=True):
    """Wraps the keys for the next master key. The former one ends once every known front end uses the next one."""


class ReadKeyUse(Command[KeyUse], frozen=True, kw_only=True):
    """Counts what ends with a key."""

    key_id: int


class DropInstallationKey(Command[KeyStatus], frozen=True, kw_only=True):
    """Ends an old key for good, with everything that depends on it."""

    key_id: int


class ForgetFrontEnd(Command[None], frozen=True, kw_only=True):
    """Stops waiting for a front end that will not come back."""

    front_end: str
