"""Program of the local Ray: starts its servers, and ends them when it ends.

    python -m actors.ray_runtime.local_node --temp-dir DIR --address HOST --cpus N --object-store-bytes N

`ray start --head` also starts a dashboard, an agent of it, and an agent that prepares environments for workers. They
take two seconds of processor time and 150 MB of memory, and no worker starts until both agents have. This service uses
none of them: it has its own dashboard and metrics, and its actors run in the environment of the service.
`docs/adr/0012-ray-without-its-agents.md` lists the undocumented parts of Ray that this depends on.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from ray._private import ray_constants, services
from ray._private.node import Node
from ray._private.parameter import RayParams

#: Runs until the raylet closes its standard input. The raylet ends when one of its agents does.
_IDLE: Final = shlex.join((sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"))
#: Options of the raylet. A port of -1 means that there is no agent; with 0 the raylet would wait until the agent has
#: written its port to a file.
_WITHOUT_AGENTS: Final = {
    "dashboard_agent_command": f"{_IDLE} dashboard_agent",
    "runtime_env_agent_command": f"{_IDLE} runtime_env_agent",
    "metrics_agent_port": "-1",
    "metrics_export_port": "-1",
    "dashboard_agent_listen_port": "-1",
    "runtime_env_agent_port": "-1",
}


class LocalNode(Node):
    """A Ray node without a dashboard."""

    def start_api_server(self, **_options: Any) -> None:
        """Starts nothing."""


def _start_without_agents(start: Callable[..., Any], command: Sequence[str], process_type: str, **options: Any) -> Any:
    if process_type == ray_constants.PROCESS_TYPE_RAYLET:
        # The last of several equal options counts.
        command = [*command, *(f"--{name}={value}" for name, value in _WITHOUT_AGENTS.items())]
    return start(command, process_type, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--temp-dir", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--object-store-bytes", type=int, required=True)
    arguments = parser.parse_args()
    services.start_ray_process = partial(_start_without_agents, services.start_ray_process)
    parameters = RayParams(
        node_ip_address=arguments.address,
        temp_dir=arguments.temp_dir,
        worker_path=str(Path(__file__).with_name("worker.py")),
        num_cpus=arguments.cpus,
        object_store_memory=arguments.object_store_bytes,
        # Each server takes a free port, and the head's writes its port to a file.
        gcs_server_port=0,
        dashboard_agent_listen_port=0,
        min_worker_port=0,
        max_worker_port=0,
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # its annotation is wrong
        no_monitor=True,
        # All processes then write to our output.
        log_to_stderr=True,
        env_vars={ray_constants.LOGGING_REDIRECT_STDERR_ENVIRONMENT_VARIABLE: "1"},
    )
    LocalNode(parameters, head=True, shutdown_at_exit=True, spawn_reaper=True)
    while True:
        signal.pause()  # `serve` watches the servers, and ends this process


if __name__ == "__main__":
    main()
