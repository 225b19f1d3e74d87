"""Variables that Kubernetes sets in every pod for each service of the namespace, also for one called `feedback-loops`.

They look like options: `FEEDBACK_LOOPS_SERVICE_HOST`, or `FEEDBACK_LOOPS_PORT=tcp://10.0.0.7:80` for our `--port`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from actors.settings.options import ENV_PREFIX

#: In front of these, services with a longer name have the rest of it.
_NAME: Final = re.compile(
    ENV_PREFIX + r"(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z0-9_]+)?)"
)
_URLS: Final = ("tcp://", "udp://", "sctp://")


def without_service_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without them."""
    return {name: value for name, value in environment.items() if not _is_of_service(name, value)}


def _is_of_service(name: str, value: str) -> bool:
    is_url = name.startswith(ENV_PREFIX) and name.endswith("PORT") and value.startswith(_URLS)
    return is_url or _NAME.fullmatch(name) is not None
