"""Deployments: what front ends of a cluster compare, without telling each other's secrets."""

from __future__ import annotations

from dataclasses import replace

from actors.ray_runtime.deployment import OWN_OPTIONS, Deployment
from actors.settings.options import OPTIONS, Secret
from actors.settings.settings import Settings

STORE = "postgresql://user:password@db/feedback_loops"
KEY = bytes(range(32))


def settings(key: bytes = KEY, **texts: str) -> Settings:
    return Settings.from_env({}, **{"store": STORE, **texts}).with_keys(key, Secret("an-admin-key"))


def deployment(key: bytes = KEY, **texts: str) -> Deployment:
    return Deployment.of(settings(key, **texts), 1)


def test_options_of_the_actors_are_compared_by_name() -> None:
    """What differs is named as the option is."""
    assert deployment(retry_schedule="1,2").differences(deployment()) == ["retry_schedule"]
    assert deployment().differences(deployment()) == []


def test_each_front_end_has_some_options_for_itself() -> None:
    """Where it listens and keeps its journal, and what people reach it by, makes no difference to the actors."""
    other = deployment(
        host="10.0.0.1", port="81", data_dir="/elsewhere", log_level="debug", ray_address="10.0.0.9:6379"
    )

    assert deployment().differences(other) == []
    assert {option.name for option in OPTIONS} > OWN_OPTIONS


def test_on_sqlite_the_data_directory_is_the_ledgers() -> None:
    """Two front ends with directories of their own would have two ledgers."""
    here = Deployment.of(Settings.from_env({}).with_keys(KEY, Secret("an-admin-key")), 1)
    there = Deployment.of(Settings.from_env({}, data_dir="/elsewhere").with_keys(KEY, Secret("an-admin-key")), 1)

    assert here.differences(there) == ["data_dir"]


def test_it_survives_its_text_and_tells_no_secret() -> None:
    """What goes to other processes has neither keys nor the store's password in it, also not to be guessed."""
    made = deployment()

    assert Deployment.read(made.text()) == made
    assert "password" not in made.text()
    assert KEY.hex() not in made.text()
    assert deployment(key=bytes(32)).options["store"] != made.options["store"]
    assert deployment(key=bytes(32)).installation != made.installation


def test_an_actor_tells_the_version_that_it_runs() -> None:
    """Its settings may come from a gateway of another version than what is installed on its machine."""
    given = replace(deployment(), version="99.0")
    running = Deployment.read(Deployment.running(given.text()))

    assert running == deployment()
    assert running.differences(given) == ["version"]


def test_a_later_version_may_know_more() -> None:
    """A deployment with a field that this version does not know is read all the same."""
    text = deployment().text()

    assert Deployment.read(text[:-1] + ',"more":1}') == deployment()
