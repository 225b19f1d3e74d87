"""Installation keys of the fake client: a rotation ends at once."""

from __future__ import annotations

from typing import Final

from actors.commands.installation_keys import (
    DropInstallationKey,
    InstallationKey,
    KeyStatus,
    KeyUse,
    ReadKeyGeneration,
    ReadKeyStatus,
    ReadKeyUse,
    RotateInstallationKey,
    RotateMasterKey,
)
from domain.errors import Conflict, NotFound
from tests.unit.api.fake_front_ends import FakeFrontEnds

FINGERPRINT: Final = "00112233445566aa"


class FakeKeys(FakeFrontEnds):
    """The part of the fake client that handles commands about installation keys."""

    def __init__(self) -> None:
        super().__init__()
        self.key_ids = [1]
        self.master_key = "a" * 16

    def _read_key_generation(self, _: ReadKeyGeneration) -> int:
        return len(self.key_ids)

    def _read_key_status(self, _: ReadKeyStatus) -> KeyStatus:
        signing = self.key_ids[-1]
        return KeyStatus(
            installation=FINGERPRINT,
            created_ms=1,
            generation=len(self.key_ids),
            keys=[
                InstallationKey(
                    id=key_id,
                    state="signs" if key_id == signing else "reads",
                    created_ms=key_id,
                    signs_from_ms=key_id,
                    signs_until_ms=None if key_id == signing else signing,
                )
                for key_id in self.key_ids
            ],
            master_key=self.master_key,
            next_master_key=None,
            front_ends=self.front_ends,
            loops_to_follow=0,
        )

    def _rotate_installation_key(self, _: RotateInstallationKey) -> KeyStatus:
        self.key_ids.append(self.key_ids[-1] + 1)
        return self._read_key_status(ReadKeyStatus())

    def _rotate_master_key(self, _: RotateMasterKey) -> KeyStatus:
        self.master_key = "b" * 16
        return self._read_key_status(ReadKeyStatus())

    def _read_key_use(self, x: ReadKeyUse) -> KeyUse:
        self._must_have(x.key_id)
        return KeyUse(messages=12, passwords=3, secrets=0, headers=1)

    def _drop_installation_key(self, x: DropInstallationKey) -> KeyStatus:
        self._must_have(x.key_id)
        if x.key_id == self.key_ids[-1]:
            raise Conflict(f"installation key {x.key_id} signs")
        self.key_ids.remove(x.key_id)
        return self._read_key_status(ReadKeyStatus())

    def _must_have(self, key_id: int) -> None:
        if key_id not in self.key_ids:
            raise NotFound(f"there is no installation key {key_id}")
