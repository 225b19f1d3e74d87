"""Configuration of a loop's lane: where and how it delivers, and the secrets that sign."""

from __future__ import annotations

from typing import NamedTuple, Self

from actors.adapters.sealed_headers import HeaderSealer
from domain.feedback_loop import FeedbackLoop
from domain.key_set import KeySet
from domain.loop_settings import MASK, LoopSettings
from domain.signing import SigningSecret, loop_secret


class LaneConfig(NamedTuple):
    """Everything that a lane needs to know of its loop."""

    loop_id: str
    account_id: str
    url: str
    settings: LoopSettings
    #: Newest first.
    secrets: tuple[SigningSecret, ...]
    #: The owner's own headers.
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, loop_id: str, loop: FeedbackLoop, loop_keys: KeySet, now_ms: int) -> Self:
        """The loop's configuration, with the secrets that sign at `now_ms`, by the loop's own keys.

        Secrets and headers whose installation key was dropped are left out.
        """
        secrets = tuple(
            SigningSecret(
                loop_secret(loop_keys, loop.secrets.key_id_of(version), version),
                None if version == loop.secrets.version else loop.secrets.ends_ms(version),
            )
            for version in loop.secrets.signing(now_ms)
            if loop.secrets.key_id_of(version) in loop_keys.keys
        )
        headers = tuple(HeaderSealer(loop_keys, loop_id).opened(loop.settings.headers))
        return cls(loop_id, loop.account_id, loop.url, loop.settings, secrets, headers)

    def masked(self) -> Self:
        """A copy for POSTs that are only shown."""
        return self._replace(headers=tuple((name, MASK) for name, _ in self.headers))

    @property
    def concurrency(self) -> int:
        """How many POSTs may be in flight."""
        return 1 if self.settings.ordered else self.settings.max_concurrency
