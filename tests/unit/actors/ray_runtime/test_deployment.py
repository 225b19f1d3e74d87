"""Deployments: compared between front ends of a cluster, without revealing secrets."""

from __future__ import annotations

from dataclasses import replace

from actors.ray_runtime.deployment import OWN_OPTIONS, Deployment
from actors.settings import Settings
from actors.settings.options import OPTIONS

STORE = "postgresql://user:password@db/feedback_loops"
INSTALLATION = bytes(range(16)).hex()


def deployment(installation: str = INSTALLATION, **texts: str) -> Deployment:
    return Deployment.of(Settings.from_env({}, **{"store": STORE, **texts}), installation, 1)


def test_options_of_the_actors_are_compared_by_name() -> None:
    """A difference has the name of its option."""
    assert deployment(retry_schedule="1,2").differences(deployment()) == ["retry_schedule"]
    assert deployment().differences(deployment()) == []


def test_some_options_belong_to_one_front_end() -> None:
    """Its addresses, its journal and its log make no difference to the actors."""
    other = deployment(
        host="10.0.0.1", port="81", data_dir="/elsewhere", log_level="debug", ray_address="10.0.0.9:6379"
    )

    assert deployment().differences(other) == []
    assert {option.name for option in OPTIONS} > OWN_OPTIONS


def test_on_sqlite_the_data_directory_counts() -> None:
    """Two front ends with separate directories would have two ledgers."""
    here = Deployment.of(Settings.from_env({}), INSTALLATION, 1)
    there = Deployment.of(Settings.from_env({}, data_dir="/elsewhere"), INSTALLATION, 1)

    assert here.differences(there) == ["data_dir"]


def test_its_encoding_reveals_no_secret() -> None:
    """It contains neither keys nor the store's password, and nothing that helps to guess them."""
    made = deployment()

    assert Deployment.read(made.text()) == made
    assert "password" not in made.text()
    assert INSTALLATION not in made.text()
    other = deployment(installation=bytes(16).hex())
    assert other.options["store"] != made.options["store"]
    assert other.installation != made.installation


def test_an_actor_reports_the_version_that_it_runs() -> None:
    """Its settings may come from a gateway of another version than the one installed on its machine."""
    given = replace(deployment(), version="99.0")
    running = Deployment.read(Deployment.running(given.text()))

    assert running == deployment()
    assert running.differences(given) == ["version"]


def test_fields_of_a_later_version_are_ignored() -> None:
    """A deployment with an unknown field can be read."""
    text = deployment().text()

    assert Deployment.read(text[:-1] + ',"more":1}') == deployment()
