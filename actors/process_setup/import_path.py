"""Import path of our Python programs: they import this code, and nothing from the directory where they were started.

`python -m` puts the working directory first on the import path, and Ray adds its driver's to the path of its workers. A
folder `api` in an operator's directory must not become part of the service.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import actors

#: Variables with a path that the programs would look for in their own working directory.
_PATHS: Final = (
    *("TMPDIR", "TEMP", "TMP"),
    *("RAY_AUTH_TOKEN_PATH", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"),
    *("OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
)


def python_module(name: str) -> list[str]:
    """The start of a command that runs one of our modules."""
    return [sys.executable, "-P", "-m", name]


def with_own_code(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that may run in another directory, and of those that it starts.

    They run the same code as this process, installed or not. Relative paths stay those of this process's directory.
    """
    made = dict(environment)
    code = str(Path(actors.__file__).parent.parent)
    others = [str(Path(item).absolute()) for item in made.get("PYTHONPATH", "").split(os.pathsep) if item]
    made["PYTHONPATH"] = os.pathsep.join([code, *(item for item in others if item != code)])
    made["PYTHONSAFEPATH"] = "1"
    for name in _PATHS:
        if made.get(name):
            made[name] = str(Path(made[name]).absolute())
    return made
