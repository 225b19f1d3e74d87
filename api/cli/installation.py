"""Check of the installation: no other distribution has overwritten the packages `actors`, `api` and `domain`.

Their names are common. pip installs a second `api` over the first without a word, and half of each would run.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution, distributions
from pathlib import Path
from typing import Final

from domain.errors import Conflict

NAME: Final = "feedback-loops"
PACKAGES: Final = ("actors", "api", "domain")
_ADVICE: Final = "Install feedback-loops in an environment of its own (`uv tool install`, `pipx`, or the image)"


def check_installation() -> None:
    """Compares the files of our packages with those that were installed. A checkout has nothing to compare with.

    Raises:
        Conflict: a file is missing, or is another distribution's.
    """
    folders = {name: _folder(name) for name in PACKAGES}
    if len({folder.parent for folder in folders.values()}) > 1:
        places = ", ".join(f"{name} from {folder}" for name, folder in folders.items())
        raise Conflict(f"the packages of feedback-loops are imported from different places: {places}. {_ADVICE}")
    try:
        own = distribution(NAME)
    except PackageNotFoundError:
        return
    for file in _installed_files(own, folders["api"].parent):
        path = Path(str(own.locate_file(file)))
        if not path.exists():
            raise Conflict(f"{path} is missing: install feedback-loops again. {_ADVICE}")
        if _digest(path) != (file.hash.value if file.hash else None) and (other := _other_owner(file)):
            raise Conflict(f"the distribution {other} has overwritten {path}. {_ADVICE}")


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise Conflict(f"the package {package} of feedback-loops has no __init__.py any more. {_ADVICE}")
    return Path(spec.origin).parent


def _installed_files(own: Distribution, imported_from: Path) -> Iterator[PackagePath]:
    """The source files of the packages, if those are imported that the distribution has installed."""
    for file in own.files or ():
        if file.parts[0] in PACKAGES and file.hash is not None and file.hash.mode == "sha256":
            if Path(str(own.locate_file(file.parts[0]))).parent != imported_from:
                return
            yield file


def _digest(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def _other_owner(file: PackagePath) -> str | None:
    """Another distribution that has installed the same file. None if someone has edited it."""
    for other in distributions():
        if other.name != NAME and any(str(listed) == str(file) for listed in other.files or ()):
            return other.name
    return None
