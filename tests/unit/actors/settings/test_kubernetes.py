"""Variables of Kubernetes: ignored, and nothing else is."""

from __future__ import annotations

import pytest

from actors.settings import Settings
from domain.errors import InvalidInput


def service_variables(service: str, port_name: str = "http", protocol: str = "tcp") -> dict[str, str]:
    """What the kubelet sets in each pod of the namespace for a Service (pkg/kubelet/envvars)."""
    name = service.upper().replace("-", "_")
    port = f"{name}_PORT_80_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": "10.0.0.7",
        f"{name}_SERVICE_PORT": "80",
        f"{name}_SERVICE_PORT_{port_name.upper()}": "80",
        f"{name}_PORT": f"{protocol}://10.0.0.7:80",
        port: f"{protocol}://10.0.0.7:80",
        f"{port}_PROTO": protocol,
        f"{port}_PORT": "80",
        f"{port}_ADDR": "10.0.0.7",
    }


@pytest.mark.parametrize("service", ["feedback-loops", "feedback-loops-edge", "feedback-loops-head-svc"])
@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_the_variables_of_services_are_no_options(service: str, protocol: str) -> None:
    """`serve` starts in a pod beside a Service of any of our names, on its own port."""
    settings = Settings.from_env(service_variables(service, "smtp_in", protocol), data_dir="/srv/data")

    assert settings.port == Settings.from_env({}, data_dir="/srv/data").port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FEEDBACK_LOOPS_PORT", "http://10.0.0.7:80"),
        ("FEEDBACK_LOOPS_SERVICE_HOTS", "10.0.0.7"),
        ("FEEDBACK_LOOPS_PORTS", "tcp://10.0.0.7:80"),
        ("FEEDBACK_LOOPS_PORT_80_QUIC", "tcp"),
        ("FEEDBACK_LOOPS_HOTS", "127.0.0.1"),
    ],
)
def test_a_misspelled_option_is_still_refused(name: str, value: str) -> None:
    """The message has its name."""
    with pytest.raises(InvalidInput, match=name):
        Settings.from_env({name: value}, data_dir="/srv/data")


def test_the_port_can_be_set_beside_the_variables() -> None:
    """`FEEDBACK_LOOPS_PORT` with a number is the option."""
    pod = service_variables("feedback-loops-edge") | {"FEEDBACK_LOOPS_PORT": "8081"}

    assert Settings.from_env(pod, data_dir="/srv/data").port == 8081
