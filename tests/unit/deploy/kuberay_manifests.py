"""Objects of deploy/kuberay.yaml, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import yaml

from tests.paths import ROOT


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "deploy/kuberay.yaml").read_text()))


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [m for m in manifests() if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def pod_templates() -> list[dict[str, Any]]:
    """The pods of the Ray cluster, and those of the edges."""
    spec = manifest("RayCluster", "feedback-loops")["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"], manifest("StatefulSet", "feedback-loops-edge")["spec"]]
    return [group["template"] for group in groups]


def all_pod_templates() -> list[dict[str, Any]]:
    """Those, and Redis'."""
    redis: dict[str, Any] = manifest("StatefulSet", "ray-redis")["spec"]["template"]
    return [*pod_templates(), redis]
