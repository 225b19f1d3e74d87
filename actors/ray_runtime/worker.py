"""Program of the local Ray's workers: Ray's own, in which `actors.ray_runtime` has deferred imports."""

from __future__ import annotations

import runpy
from importlib import import_module
from pathlib import Path


def main() -> None:
    import_module("actors.ray_runtime")
    ray = import_module("ray")
    runpy.run_path(str(Path(str(ray.__file__)).parent / "_private/workers/default_worker.py"), run_name="__main__")


if __name__ == "__main__":
    main()
