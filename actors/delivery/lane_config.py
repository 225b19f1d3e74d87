"""How a loop wants its deliveries, from the loop itself."""

from __future__ import annotations

from actors.delivery.request_builder import LaneConfig
from domain.feedback_loop import SECRET_OVERLAP_MS, FeedbackLoop
from domain.signing import SigningSecret, loop_secret


def lane_config(loop_id: str, loop: FeedbackLoop, master_key: bytes, now_ms: int) -> LaneConfig:
    """The configuration at that time, with the secrets that sign then."""
    secrets = tuple(
        SigningSecret(
            loop_secret(master_key, loop_id, version),
            None if version == loop.secret_version else loop.secret_rotations_ms[version - 1] + SECRET_OVERLAP_MS,
        )
        for version in loop.signing_versions(now_ms)
    )
    return LaneConfig(
        loop_id=loop_id,
        account_id=loop.account_id,
        url=loop.url,
        format=loop.format,
        secrets=secrets,
        max_concurrency=loop.max_concurrency,
        rate_limit=loop.rate_limit,
        ordered=loop.ordered,
    )
