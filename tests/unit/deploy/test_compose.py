"""Compose file of one machine: valid for Docker Compose, and as strict as the unit."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from actors.settings import Settings
from actors.settings.options import OPTIONS
from tests.paths import FIXTURES, ROOT

TEXT = (ROOT / "deploy/compose.yaml").read_text()
SCHEMA = json.loads(gzip.decompress((FIXTURES / "compose/compose-spec.json.gz").read_bytes()))
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


def compose(**environment: str) -> dict[str, Any]:
    """The file with its variables replaced, as Docker Compose does.

    Raises:
        LookupError: a required variable is missing.
    """

    def value(found: re.Match[str]) -> str:
        name, kind, text = found.groups()
        if not environment.get(name) and kind == ":?":
            raise LookupError(f"{name}: {text}")
        return environment.get(name) or (text if kind == ":-" else "")

    made: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, TEXT))
    return made


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(FEEDBACK_LOOPS_PUBLIC_URL="https://track.example.com")["services"]
    return found


def test_compose_accepts_the_file() -> None:
    """The schema of Docker Compose knows each key and the type of its value."""
    jsonschema.Draft202012Validator(SCHEMA).validate(compose(FEEDBACK_LOOPS_PUBLIC_URL="https://track.example.com"))


def test_compose_refuses_an_unknown_key() -> None:
    """This shows that the previous test can fail."""
    changed = compose(FEEDBACK_LOOPS_PUBLIC_URL="https://track.example.com")
    changed["services"]["feedback-loops"]["readonly"] = True
    with pytest.raises(jsonschema.ValidationError, match="readonly"):
        jsonschema.Draft202012Validator(SCHEMA).validate(changed)


def test_the_public_url_is_required() -> None:
    """Without it, links in sent mail would lead nowhere."""
    with pytest.raises(LookupError, match="FEEDBACK_LOOPS_PUBLIC_URL: set it to"):
        compose()


def test_the_service_has_no_rights() -> None:
    """A read-only file system except for its volume and a /tmp in memory, no capabilities, no way to get any."""
    service = services()["feedback-loops"]

    assert service["read_only"] is True
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert service["volumes"] == ["data:/data"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    # The proxy publishes it; by itself it is reachable from this machine only.
    assert service["ports"] == ["127.0.0.1:8080:8080"]


def test_the_service_can_stop_and_ray_has_memory() -> None:
    """It gets more time than it needs, and its object store fits into the shared memory."""
    service = services()["feedback-loops"]

    assert service["stop_grace_period"] == "15s"
    assert service["shm_size"] == "256m"


@pytest.mark.parametrize("store", ["", "postgresql://feedback_loops@postgres/feedback_loops"])
def test_serve_accepts_the_environment(store: str) -> None:
    """With and without the profile of PostgreSQL; a variable that is not set is no value."""
    variables = {"FEEDBACK_LOOPS_PUBLIC_URL": "https://track.example.com", "FEEDBACK_LOOPS_STORE": store}
    environment = compose(**variables, POSTGRES_PASSWORD="secret")["services"]["feedback-loops"]["environment"]
    settings = Settings.from_env(environment, data_dir="/data", host="0.0.0.0")

    assert settings.public_url_problem is None
    assert settings.store == (f"{store}?password=secret" if store else None)
    assert set(environment) <= {option.variable for option in OPTIONS} | {"PGPASSWORD"}


def test_only_the_proxy_is_trusted() -> None:
    """It has a fixed address; another container, or this machine, cannot claim to be a client."""
    address = services()["caddy"]["networks"]["feedback-loops"]["ipv4_address"]

    assert services()["feedback-loops"]["environment"]["FEEDBACK_LOOPS_TRUSTED_PROXIES"] == f"{address}/32"


def test_other_peoples_images_are_pinned_and_optional() -> None:
    """Each is named by its digest, and only started by a profile."""
    others = {name: service for name, service in services().items() if name != "feedback-loops"}

    assert {name: service["profiles"] for name, service in others.items()} == {
        "postgres": ["postgres"],
        "caddy": ["caddy"],
    }
    for service in others.values():
        assert re.search(r"@sha256:[0-9a-f]{64}$", service["image"]), service["image"]


def test_the_proxy_publishes_what_recipients_need() -> None:
    """Tracking paths and the proofs of tracking domains; the rest only for the operator's networks."""
    text = (ROOT / "deploy/Caddyfile").read_text()

    assert "@tracking path /o/* /c/* /u/* /.well-known/feedback-loops/*" in text
    assert "@own remote_ip {$OWN_NETWORKS}" in text
    assert text.rstrip().endswith("respond 403\n}")
