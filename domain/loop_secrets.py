"""Versions of a feedback loop's secret: which of them sign, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from domain.errors import TemporaryConflict

#: How long a replaced secret still signs, in addition to the new one.
SECRET_OVERLAP_MS: Final = 24 * 3600 * 1000
#: Maximum number of signatures of a POST. Another rotation has to wait, because it would drop a secret in use.
MAX_SIGNING_VERSIONS: Final = 4


@dataclass(slots=True)
class LoopSecrets:
    """The versions 1, 2, … of a loop's secret, which is derived and never stored. Times are Unix milliseconds."""

    #: Ids of the installation keys that the versions are derived from.
    key_ids: list[int]
    #: When the versions 2, 3, … began.
    rotations_ms: list[int] = field(default_factory=list)
    #: Earlier versions were revoked.
    oldest: int = 1

    @property
    def version(self) -> int:
        """The current version."""
        return len(self.key_ids)

    @property
    def key_id(self) -> int:
        """Id of the installation key that the current version is derived from."""
        return self.key_ids[-1]

    def key_id_of(self, version: int) -> int:
        """Id of the installation key that a version is derived from."""
        return self.key_ids[version - 1]

    def ends_ms(self, version: int) -> int:
        """When a version that was replaced stops signing."""
        return self.rotations_ms[version - 1] + SECRET_OVERLAP_MS

    def signing(self, now_ms: int) -> list[int]:
        """The versions that sign now, newest first: the current one and those replaced within 24 h."""
        replaced = range(self.version - 1, self.oldest - 1, -1)
        found = [version for version in replaced if now_ms < self.ends_ms(version)]
        # There can be more: the clock may have been set back, or the secret may have followed an installation key.
        return [self.version, *found[: MAX_SIGNING_VERSIONS - 1]]

    def must_have_room(self, now_ms: int) -> None:
        """Checks that one more version may sign.

        Raises:
            TemporaryConflict: too many sign; it has the time until the oldest one ends.
        """
        signing = self.signing(now_ms)
        if len(signing) >= MAX_SIGNING_VERSIONS:
            ends_ms = min(self.ends_ms(version) for version in signing[1:])
            raise TemporaryConflict(
                f"{MAX_SIGNING_VERSIONS} secrets sign already, and one more would end the oldest too early. Rotate"
                " again when it has ended, or with `revoke=true`, which ends all former secrets at once.",
                (ends_ms - now_ms) / 1000,
            )

    def add(self, key_id: int, at_ms: int) -> None:
        """Adds the next version, derived from the installation key with this id."""
        self.key_ids.append(key_id)
        self.rotations_ms.append(at_ms)

    def revoke_former(self) -> None:
        """Ends all versions but the current one."""
        self.oldest = self.version
