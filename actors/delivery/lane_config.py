"""Configuration of a loop's lane: where and how it delivers, and the secrets that sign."""

from __future__ import annotations

from typing import NamedTuple, Self

from domain.feedback_loop import SECRET_OVERLAP_MS, FeedbackLoop
from domain.loop_settings import LoopSettings
from domain.signing import SigningSecret, loop_secret


class LaneConfig(NamedTuple):
    """Everything that a lane needs to know of its loop."""

    loop_id: str
    account_id: str
    url: str
    settings: LoopSettings
    #: Newest first.
    secrets: tuple[SigningSecret, ...]

    @classmethod
    def of(cls, loop_id: str, loop: FeedbackLoop, master_key: bytes, now_ms: int) -> Self:
        """The loop's configuration, with the secrets that sign at `now_ms`."""
        secrets = tuple(
            SigningSecret(
                loop_secret(master_key, loop_id, version),
                None if version == loop.secret_version else loop.secret_rotations_ms[version - 1] + SECRET_OVERLAP_MS,
            )
            for version in loop.signing_versions(now_ms)
        )
        return cls(loop_id, loop.account_id, loop.url, loop.settings, secrets)

    @property
    def concurrency(self) -> int:
        """How many POSTs may be in flight."""
        return 1 if self.settings.ordered else self.settings.max_concurrency
