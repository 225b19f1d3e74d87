"""Schema of KubeRay's RayCluster, generated from its Go types, and as strict as `kubectl --validate=strict`.

    python -m tests.kuberay

generates the stored schema again (it needs Go). `tests/fixtures/kuberay/README.md` documents its origin and license.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

from tests.paths import FIXTURES

#: The oldest release that deploy/kuberay.yaml supports.
VERSION: Final = "1.6.0"
MODULE: Final = "github.com/ray-project/kuberay/ray-operator"
GENERATOR: Final = "sigs.k8s.io/controller-tools/cmd/controller-gen"
#: The options of KubeRay's own Makefile, but without descriptions.
OPTIONS: Final = "crd:maxDescLen=0,generateEmbeddedObjectMeta=true,allowDangerousTypes=true"
SCHEMA: Final = FIXTURES / f"kuberay/raycluster-{VERSION}.json.gz"
API_VERSION: Final = "v1"
#: Imports both modules, so that Go selects the version of the generator that KubeRay requires.
_IMPORTS: Final = f"""//go:build tools

package tools

import (
	_ "{MODULE}/apis/ray/v1"
	_ "{GENERATOR}"
)
"""


@cache
def validator() -> jsonschema.protocols.Validator:
    """A validator with the schema of this KubeRay version, as strict as Kubernetes. Takes a second to make."""
    made = strict(json.loads(gzip.decompress(SCHEMA.read_bytes())))
    kind = jsonschema.validators.validator_for(made)
    kind.check_schema(made)
    return kind(made)


def strict(structural: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema that accepts the same values as Kubernetes does by a structural schema, without unknown fields.

    Rules in CEL (`x-kubernetes-validations`) are left out, because the tests cannot evaluate them.
    """
    made = {key: value for key, value in structural.items() if not key.startswith("x-kubernetes-")}
    if structural.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if made.pop("nullable", False):
        made["type"] = [made["type"], "null"]
    if "properties" in made:
        made["properties"] = {name: strict(value) for name, value in made["properties"].items()}
        if not structural.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = strict(made[key])
    return made


def renew() -> None:
    """Generates the schema from KubeRay's types, and stores it."""
    with tempfile.TemporaryDirectory(prefix="feedback-loops-kuberay-") as name:
        folder = Path(name)
        (folder / "go.mod").write_text("module tools\n")
        (folder / "tools.go").write_text(_IMPORTS)
        _go(folder, "get", f"{MODULE}@v{VERSION}")
        _go(folder, "mod", "tidy")
        _go(folder, "run", GENERATOR, OPTIONS, f"paths={MODULE}/apis/ray/v1", f"output:crd:dir={folder}")
        definition = yaml.safe_load((folder / "ray.io_rayclusters.yaml").read_text())
    (found,) = [version for version in definition["spec"]["versions"] if version["name"] == API_VERSION]
    text = json.dumps(found["schema"]["openAPIV3Schema"], sort_keys=True, separators=(",", ":"))
    SCHEMA.write_bytes(gzip.compress(text.encode(), mtime=0))


def _go(folder: Path, *arguments: str) -> None:
    subprocess.run(["go", *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    renew()
