"""Commands of a user without rights, who can reach an interpreter wherever it is, such as in root's home directory.

In a mount namespace of the command, directories that only root may enter are replaced by empty ones that contain the
given paths. Other processes do not notice. Without root, commands run as the current user.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

#: The user `nobody`.
UID: Final = 65534
#: Mounts each path aside, then an empty directory over each that hides some, then the paths in their places.
_REVEAL: Final = """
import json, os, subprocess, sys, tempfile
plan = json.loads(sys.argv[1])
mount = lambda *words: subprocess.run(["mount", *words], check=True)
aside = {}
for path in plan["paths"]:
    aside[path] = tempfile.mkdtemp(dir="/run")
    mount("--bind", path, aside[path])
for folder in plan["hidden"]:
    mount("-t", "tmpfs", "-o", "mode=755", "none", folder)
for path, place in aside.items():
    os.makedirs(path, exist_ok=True)
    mount("--bind", place, path)
    subprocess.run(["umount", place], check=True)
    os.rmdir(place)
if plan["uid"] is not None:
    os.setgroups([])
    os.setgid(plan["uid"])
    os.setuid(plan["uid"])
os.umask(0o022)
os.execvpe(sys.argv[2], sys.argv[2:], os.environ)
"""


def revealing(paths: Iterable[Path], uid: int | None = UID) -> list[str]:
    """The start of a command that runs the rest as this user, who sees these paths; None: root.

    Needs root; otherwise, the command runs as it is.
    """
    if os.geteuid() != 0:
        return []
    hidden = {str(path): _hiding(path) for path in paths}
    plan = {
        "paths": [path for path, folder in hidden.items() if folder],
        "hidden": sorted({str(folder) for folder in hidden.values() if folder}),
        "uid": uid,
    }
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, sys.executable, "-I", "-S", "-c", _REVEAL, json.dumps(plan)]


def _hiding(path: Path) -> Path | None:
    """The outermost directory on the way to the path that not everyone may enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & stat.S_IXOTH), None)
