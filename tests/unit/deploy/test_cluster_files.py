"""The files that start a cluster: valid for their tools, and consistent with the code and each other."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from actors.ray_runtime import options
from actors.settings import Settings
from actors.settings.options import OPTIONS
from tests import kuberay
from tests.cluster.ray_on_machines import PATIENCE, SETTINGS
from tests.paths import ROOT
from tests.unit.actors.settings.test_kubernetes import service_variables
from tests.unit.deploy.kuberay_manifests import manifest, manifests, pod_templates

LAUNCHER_FILES = ("ray_cluster.yaml", "deploy/aws.yaml")
#: Those of a cluster's machines: edge, head and worker.
UNITS = [ROOT / f"deploy/systemd/feedback-loops-{name}.service" for name in ("edge", "ray-head", "ray-worker")]
KUBERNETES = "1.33"


#: Frequent mistakes in a RayCluster: the place, and its wrong value (None: the field is removed).
MISTAKES: list[tuple[list[str | int], object]] = [
    (["headGroupSpecs"], {}),
    (["headGroupSpec", "rayStartParam"], {}),
    (["headGroupSpec", "rayStartParams", "num-cpus"], 0),
    (["headGroupSpec", "serviceType"], 1),
    (["headGroupSpec", "template", "spec", "containers", 0, "resource"], {}),
    (["headGroupSpec", "template", "spec", "containers", 0, "ports", 0, "containerPort"], "6379"),
    (["workerGroupSpecs", 0, "replicas"], "2"),
    (["workerGroupSpecs", 0, "groupName"], None),
    (["workerGroupSpecs", 0, "template", "spec", "topologySpreadConstraints", 0, "maxSkew"], None),
    (["authOptions", "mode"], "tokens"),
    (["authOptions", "secret"], "feedback-loops-ray"),
    (["gcsFaultToleranceOptions", "redisAddress"], None),
    (["gcsFaultToleranceOptions", "redisPassword", "secretKeyRef"], {}),
]


def launcher_file(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return config


def ray_version() -> str:
    found = re.search(r"^ray==([\d.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def unit(name: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string((ROOT / f"deploy/systemd/{name}.service").read_text().replace("\\\n", " "))
    return parsed


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_ray_accepts_the_cluster_file(name: str) -> None:
    """Ray's own preparation and schema accept it."""
    validate_config(prepare_config(launcher_file(name)))


def test_ray_refuses_an_unknown_field_in_the_cluster_file() -> None:
    """This shows that the previous test can fail."""
    with pytest.raises(jsonschema.ValidationError, match="workers"):
        validate_config(prepare_config(launcher_file("ray_cluster.yaml") | {"workers": 2}))


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_every_copied_local_file_exists_or_is_documented(name: str) -> None:
    """A mount's source exists, except for the operator's own secrets; and every unit is mounted on each machine."""
    mounts = launcher_file(name)["file_mounts"]
    made_by_hand = {"./deploy/secrets/ray-token", "./deploy/secrets/environment"}
    for source in set(mounts.values()) - made_by_hand:
        assert (ROOT / source).exists(), source

    assert made_by_hand < set(mounts.values())
    assert {path.name for path in UNITS} <= {Path(target).name for target in mounts}
    for file in made_by_hand:
        assert file.removeprefix("./deploy/secrets/") in (ROOT / "docs/how-to/cluster.md").read_text()


def test_both_launchers_install_and_start_the_same() -> None:
    """The programs on a machine do not depend on the launcher."""
    same = ("file_mounts", "setup_commands", "head_start_ray_commands", "worker_start_ray_commands", "rsync_exclude")
    on_premises, aws = (launcher_file(name) for name in LAUNCHER_FILES)

    assert {key: on_premises[key] for key in same} == {key: aws[key] for key in same}


@pytest.mark.parametrize("name", LAUNCHER_FILES)
def test_the_launcher_starts_a_front_end_on_every_worker_by_a_unit_that_is_mounted(name: str) -> None:
    """Each `systemctl` command uses units that the file mounts, and workers run the front end."""
    config = launcher_file(name)
    mounted = {Path(target).stem for target in config["file_mounts"] if target.endswith(".service")}
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        started = re.findall(r"systemctl --user (?:enable|restart|start) ([\w -]+)", " ".join(commands))
        assert {word for words in started for word in words.split()} <= mounted

    commands = " ".join(config["worker_start_ray_commands"])
    assert "systemctl --user start feedback-loops-edge" in commands
    # The former unit has the same port and data directory.
    removed = (
        "systemctl --user disable --now feedback-loops.service",
        "rm -f ~/.config/systemd/user/feedback-loops.service",
    )
    assert all(commands.index(each) < commands.index("systemctl --user start") for each in removed)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_units_restart_after_any_end(path: Path) -> None:
    """systemd restarts each unit at once and without limit, and Ray requires its token."""
    parsed = unit(path.stem)

    assert parsed["Service"]["Restart"] == "always"
    assert "RAY_AUTH_MODE=token" in path.read_text()
    assert parsed["Install"]["WantedBy"] == "default.target"


def test_test_machines_have_the_units_settings() -> None:
    """`make chaos` measures with the settings of the units."""
    edge, head, worker = (path.read_text() for path in UNITS)
    for name, value in SETTINGS.items():
        assert f"{name}={value}" in head
        assert f"{name}={value}" in worker or "health_check" in name
        assert f"{name}={value}" in edge or name not in PATIENCE


def test_the_front_ends_unit_uses_existing_options() -> None:
    """`serve` accepts every flag of the unit, and joins by the address that Ray's nodes use."""
    command = unit("feedback-loops-edge")["Service"]["ExecStart"]
    flags = {option.flag for option in OPTIONS}

    assert set(re.findall(r"--[a-z-]+", command)) <= flags
    assert "--ray-address ${RAY_HEAD_IP}:6379" in command
    assert "--address=${RAY_HEAD_IP}:6379" in unit("feedback-loops-ray-worker")["Service"]["ExecStart"]
    assert "--port=6379" in unit("feedback-loops-ray-head")["Service"]["ExecStart"]


def test_the_example_environment_uses_existing_options() -> None:
    """`serve` reads each of our variables in the example."""
    names = re.findall(
        r"^#?(FEEDBACK_LOOPS_\w+)=", (ROOT / "deploy/secrets/environment.example").read_text(), re.MULTILINE
    )

    assert names
    assert set(names) <= {option.variable for option in OPTIONS}


def test_kubernetes_accepts_the_manifests() -> None:
    """Kubernetes' own schemas strictly accept each object, and the pods for KubeRay."""
    for found in manifests():
        if found["kind"] != "RayCluster":
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
    for template in pod_templates():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **template.get("metadata", {})}}
        kubernetes_validate.validate(pod | {"spec": template["spec"]}, KUBERNETES, strict=True)


def test_kubernetes_refuses_an_unknown_field() -> None:
    """This shows that the previous test can fail."""
    service = manifest("Service", "feedback-loops")
    service["spec"]["selectors"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="selectors"):
        kubernetes_validate.validate(service, KUBERNETES, strict=True)


def test_kuberay_accepts_the_cluster() -> None:
    """KubeRay's own schema accepts it, including every field of its pods."""
    cluster = manifest("RayCluster", "feedback-loops")

    assert (cluster["apiVersion"], cluster["kind"]) == (f"ray.io/{kuberay.API_VERSION}", "RayCluster")
    kuberay.validator().validate(cluster)


def test_kuberays_schema_is_of_the_oldest_supported_release() -> None:
    """The manifest names this release as the oldest."""
    release = f"{kuberay.VERSION.rpartition('.')[0]} or later"

    assert f"with KubeRay {release}" in (ROOT / "deploy/kuberay.yaml").read_text()


@pytest.mark.parametrize(("where", "what"), MISTAKES, ids=lambda value: str(value)[:40])
def test_kuberay_refuses_a_mistake(where: list[str | int], what: object) -> None:
    """Unknown, missing and mistyped fields fail here as with `kubectl --validate=strict`."""
    cluster = manifest("RayCluster", "feedback-loops")
    place = cluster["spec"]
    for step in where[:-1]:
        place = place[step]
    if what is None:
        del place[where[-1]]
    else:
        place[where[-1]] = what

    with pytest.raises(jsonschema.ValidationError):
        kuberay.validator().validate(cluster)


def test_every_version_of_ray_is_the_locked_one() -> None:
    """The image, the cluster and the locked installation can join each other."""
    image = re.search(
        r"^FROM rayproject/ray:([\d.]+)-py311", (ROOT / "deploy/Dockerfile.kuberay").read_text(), re.MULTILINE
    )
    assert image is not None

    assert image[1] == ray_version()
    assert manifest("RayCluster", "feedback-loops")["spec"]["rayVersion"] == ray_version()


def test_pods_are_guaranteed_and_big_enough_for_the_actors() -> None:
    """Requests equal limits, and the fleet's CPUs are available without the head's."""
    for template in pod_templates():
        for container in template["spec"]["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]
    workers = manifest("RayCluster", "feedback-loops")["spec"]["workerGroupSpecs"]
    cpus = sum(
        group["minReplicas"] * float(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
        for group in workers
    )
    fleet = [
        options.ledger(),
        options.supervisor(),
        options.enricher("enricher/0"),
        options.loop_host("feedback-loop/fl_0", ""),
    ]

    assert sum(actor["num_cpus"] for actor in fleet) <= cpus


def test_the_edges_journal_outlives_its_pod() -> None:
    """The data directory is on a claimed volume, and the pod's grace period exceeds the service's stop."""
    spec = manifest("StatefulSet", "feedback-loops-edge")["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    (claim,) = spec["volumeClaimTemplates"]
    mount = container["volumeMounts"][0]

    assert mount["name"] == claim["metadata"]["name"]
    assert f"--data-dir {mount['mountPath']}/" in container["args"][0]
    assert pod["terminationGracePeriodSeconds"] > 10 + 5


def test_edges_start_beside_the_manifests_services() -> None:
    """With what the kubelet sets for every Service, links or not, `serve` reads its options."""
    pods = pod_templates()
    assert [pod["spec"]["enableServiceLinks"] for pod in pods] == [False] * 3
    names = [found["metadata"]["name"] for found in manifests() if found["kind"] == "Service"]
    assert "feedback-loops" in names
    environment = {key: value for name in names for key, value in service_variables(name).items()}

    assert Settings.from_env(environment, data_dir="/data/feedback-loops").port == 8080


def test_probes_ask_for_what_they_decide() -> None:
    """Liveness: whether the process responds. Readiness, and load balancers: whether the edge answers hits."""
    (edge,) = manifest("StatefulSet", "feedback-loops-edge")["spec"]["template"]["spec"]["containers"]

    assert edge["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert edge["readinessProbe"]["httpGet"]["path"] == "/readyz?for=tracking"
    assert "health checks on /readyz?for=tracking" in (ROOT / "deploy/aws.yaml").read_text()
    assert "`/readyz?for=tracking` as the health check" in (ROOT / "docs/how-to/cluster.md").read_text()


def test_ray_requires_its_token_everywhere() -> None:
    """Head, workers and edges have the same secret."""
    spec = manifest("RayCluster", "feedback-loops")["spec"]
    edge = manifest("StatefulSet", "feedback-loops-edge")["spec"]["template"]["spec"]["containers"][0]
    volumes = manifest("StatefulSet", "feedback-loops-edge")["spec"]["template"]["spec"]["volumes"]
    values = {entry["name"]: entry.get("value") for entry in edge["env"]}
    (secret,) = (volume["secret"] for volume in volumes if volume["name"] == "ray-secrets")

    assert spec["authOptions"] == {"mode": "token", "secretName": secret["secretName"]}
    assert secret["items"] == [{"key": "auth_token", "path": "auth_token"}]
    assert (values["RAY_AUTH_MODE"], values["RAY_AUTH_TOKEN_PATH"]) == ("token", "/run/secrets/ray/auth_token")


def test_no_ray_node_has_a_secret_in_its_environment() -> None:
    """Every worker inherits it. Edges read mounted files; units take the secrets out of the shared file."""
    edge = manifest("StatefulSet", "feedback-loops-edge")["spec"]["template"]["spec"]["containers"][0]
    mounts = {mount["name"]: mount["mountPath"] for mount in edge["volumeMounts"]}
    secrets = {option.variable for option in OPTIONS if option.is_secret} | {"FEEDBACK_LOOPS_STORE"}
    variables = {entry["name"]: entry.get("value") for entry in edge["env"]}

    assert "envFrom" not in edge
    assert not secrets & variables.keys()
    for name in ("MASTER_KEY", "ADMIN_KEY", "STORE"):
        assert variables[f"FEEDBACK_LOOPS_{name}_FILE"] == f"{mounts['secrets']}/FEEDBACK_LOOPS_{name}"
    for name in ("feedback-loops-ray-head", "feedback-loops-ray-worker"):
        service = unit(name)["Service"]
        reads_secrets = service["EnvironmentFile"].endswith("/environment")
        assert not reads_secrets or secrets <= set(service["UnsetEnvironment"].split()), name
