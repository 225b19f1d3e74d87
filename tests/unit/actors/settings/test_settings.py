"""Settings: defaults, validation, and the reference page."""

from __future__ import annotations

import logging
from dataclasses import fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from actors.settings import DATA_DIR_LOCK, INSTANCE, Settings
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.options import OPTIONS, SECRETS, Option, text_of
from actors.settings.parsers import Secret
from api.cli.commands import serve
from docs._generate.settings import page
from domain.errors import InvalidInput
from domain.retry import RetrySchedule
from tests.paths import ROOT

KEYS = {"FEEDBACK_LOOPS_MASTER_KEY": "ab" * 32, "FEEDBACK_LOOPS_ADMIN_KEY": "an-admin-key"}


def problems(env: dict[str, str], **flags: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_env(env, **flags)
    return dict(caught.value.problems)


def test_the_defaults_are_the_contract_s() -> None:
    """Without options, the settings are those that the contract promises."""
    settings = Settings.from_env({})

    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")
    assert settings.data_dir == choose_data_dir({}).path
    assert settings.retry_schedule == RetrySchedule((5, 300, 1800, 7200, 18000, 36000, 36000))
    assert (settings.delivery_timeout_s, settings.disable_after_s) == (15, 432000)
    assert settings.allowed_handler_networks == settings.trusted_proxies == ()
    assert (settings.store, settings.ray_address, settings.nameserver) == (None, None, None)


def test_a_flag_has_precedence_over_the_environment() -> None:
    """A flag overrides the variable, and the variable the default; an empty variable counts as not set."""
    env = {"FEEDBACK_LOOPS_PORT": "1", "FEEDBACK_LOOPS_HOST": "::1", "FEEDBACK_LOOPS_DELIVERY_TIMEOUT": ""}
    settings = Settings.from_env(env, port="2", host=None)

    assert (settings.port, settings.host, settings.delivery_timeout_s) == (2, "::1", 15)
    assert settings.public_url == "http://[::1]:2"


@pytest.mark.parametrize(
    ("flag", "variable", "delays"),
    [
        ("", None, ()),
        ("none", "5", ()),
        ("", "5", ()),
        (None, "", ()),
        (None, "none", ()),
        ("7", "", (7,)),
        (None, None, (5, 300, 1800, 7200, 18000, 36000, 36000)),
    ],
)
def test_an_empty_retry_schedule_is_a_value(flag: str | None, variable: str | None, delays: tuple[float, ...]) -> None:
    """It means no retries, as a flag and as a variable, and is the same in the other processes."""
    env = KEYS if variable is None else KEYS | {"FEEDBACK_LOOPS_RETRY_SCHEDULE": variable}
    settings = Settings.from_env(env, retry_schedule=flag)

    assert settings.retry_schedule.delays_s == delays
    assert Settings.from_dict(settings.to_dict()).retry_schedule == settings.retry_schedule


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.name != "retry_schedule"], ids=lambda option: option.name)
def test_any_other_empty_option_is_not_given(option: Option) -> None:
    """An empty variable or flag leaves the default; only `--data-dir ""` is refused, which could hit another one."""
    assert Settings.from_env({option.variable: ""}) == Settings.from_env({})
    if option.name == "data_dir":
        with pytest.raises(InvalidInput, match=r"--data-dir \(FEEDBACK_LOOPS_DATA_DIR\) must not be empty"):
            Settings.from_env({}, data_dir="")
    else:
        assert Settings.from_env({}, **{option.name: ""}) == Settings.from_env({})


def test_variables_of_other_commands_are_ignored() -> None:
    """A shell that is set up for the client commands can also start a service."""
    Settings.from_env({"FEEDBACK_LOOPS_URL": "http://x.example", "FEEDBACK_LOOPS_API_KEY": "flk_x"})

    assert set(problems({"FEEDBACK_LOOPS_URLS": "x"})) == {"FEEDBACK_LOOPS_URLS"}


def test_all_errors_are_reported_at_once() -> None:
    """All wrong options are named together, by variable and flag, each with its valid values."""
    env = {"FEEDBACK_LOOPS_RETRY_SCHEDULE": "5,soon", "FEEDBACK_LOOPS_TRUSTED_PROXIES": "proxy"}
    found = problems(env, port="http")

    assert {name.split()[0] for name in found} == {"--port", "--retry-schedule", "--trusted-proxies"}
    assert found["--port (FEEDBACK_LOOPS_PORT)"] == "must be a whole number from 0 to 65535"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOST", "a b"),
        ("PORT", "65536"),
        ("DATA_DIR", "~no-such-user/x"),
        ("HANDLER_CA_FILE", "~no-such-user/x"),
        ("STORE", "mysql://x/y"),
        ("RAY_ADDRESS", "auto"),
        ("PUBLIC_URL", "track.example.com"),
        ("PUBLIC_URL", "https://a.example/?x=1"),
        ("PUBLIC_URL", "https://a.example:0/"),
        ("ADMIN_KEY", "short"),
        ("MASTER_KEY", "abc"),
        ("DELIVERY_TIMEOUT", "nan"),
        ("DISABLE_AFTER", "0"),
        ("ENRICHERS", "0"),
        ("NAMESERVER", "dns.example:53"),
        ("JOURNAL_MAX_BYTES", "1"),
        ("JOURNAL_RESERVE", "-1"),
        ("SPILL_DIR", "/tmp"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_impossible_values_are_refused(name: str, text: str) -> None:
    """A value that cannot work is refused before anything starts, and is not printed if it is a secret."""
    ((where, found),) = problems({f"FEEDBACK_LOOPS_{name}": text}).items()

    assert f"FEEDBACK_LOOPS_{name}" in where
    assert "must be" in found
    if name.endswith("KEY"):
        assert text not in found


def test_an_unknown_variable_is_reported() -> None:
    """A misspelt variable or flag prevents the start instead of being overlooked."""
    assert list(problems({"FEEDBACK_LOOPS_PROT": "1"})) == ["FEEDBACK_LOOPS_PROT"]
    assert list(problems({}, prot="1")) == ["prot"]
    assert Settings.from_env({"FEEDBACK_LOOPS_API_KEY": "for bench", "PORT": "1"}).port == 8080


def test_settings_cross_to_another_process_intact() -> None:
    """`from_dict` restores exactly the input of `to_dict`, including keys."""
    env = KEYS | {
        "FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS": "10.0.0.0/8, fd00::/8",
        "FEEDBACK_LOOPS_RETRY_SCHEDULE": "0.25,1",
        "FEEDBACK_LOOPS_STORE": "postgresql://u:p@h/d",
        "FEEDBACK_LOOPS_DELIVERY_TIMEOUT": "0.30000000000000004",
    }
    settings = Settings.from_env(env)

    assert Settings.from_dict(settings.to_dict() | settings.secrets(SECRETS)) == settings
    assert settings.allowed_handler_networks == (IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/8"))
    assert settings.master_key == bytes.fromhex("ab" * 32)


def test_settings_for_other_processes_have_no_secret() -> None:
    """Secrets are passed on separately, to the processes that need them."""
    settings = Settings.from_env(KEYS | {"FEEDBACK_LOOPS_STORE": "postgresql://u:secret-word@h/d"})

    plain = str(settings.to_dict())
    assert not [secret for secret in ("ab" * 32, "an-admin-key", "secret-word") if secret in plain]
    assert settings.secrets(["admin_key"]) == {"admin_key": "an-admin-key"}
    assert Settings.from_env({}).secrets(SECRETS) == {"admin_key": None, "master_key": None, "store": None}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h/d", "postgresql://u@h/d?password=p%2F%26w"),
        (
            "postgresql://u@h1,h2:5433/d?sslmode=require",
            "postgresql://u@h1,h2:5433/d?sslmode=require&password=p%2F%26w",
        ),
        ("postgresql://u:own@h/d", "postgresql://u:own@h/d"),
        ("postgresql://u@h/d?password=own", "postgresql://u@h/d?password=own"),
    ],
)
def test_libpqs_variable_becomes_a_part_of_the_url(url: str, expected: str) -> None:
    """No process but `serve` has PGPASSWORD, and the others reach the store all the same."""
    assert Settings.from_env({"FEEDBACK_LOOPS_STORE": url, "PGPASSWORD": "p/&w"}).store == expected


def test_a_secret_can_be_in_a_file(tmp_path: Path) -> None:
    """A mounted file replaces the variable. Both at once, or a file that is not there, are named."""
    (tmp_path / "key").write_text("a-key-in-a-file\n")
    given = {"FEEDBACK_LOOPS_ADMIN_KEY_FILE": str(tmp_path / "key")}

    assert str(Settings.from_env(given).admin_key) == "a-key-in-a-file"
    with pytest.raises(InvalidInput, match="cannot be given together with FEEDBACK_LOOPS_ADMIN_KEY"):
        Settings.from_env(given | KEYS)
    with pytest.raises(InvalidInput, match=r"FEEDBACK_LOOPS_STORE_FILE.* cannot be read"):
        Settings.from_env({"FEEDBACK_LOOPS_STORE_FILE": str(tmp_path / "none")})
    with pytest.raises(InvalidInput, match=r"FEEDBACK_LOOPS_MASTER_KEY_FILE.* cannot be given together"):
        Settings.from_env(KEYS | {"FEEDBACK_LOOPS_MASTER_KEY_FILE": str(tmp_path / "key")})


def test_secrets_are_hidden() -> None:
    """Neither `repr` nor a log line of the settings contains a key or the store's password."""
    settings = Settings.from_env(KEYS | {"FEEDBACK_LOOPS_STORE": "postgresql://u:secret-word@h/d"})
    shown = (
        f"{settings!r} {settings} {[settings]} {logging.LogRecord('', 0, '', 0, '%s', (settings,), None).getMessage()}"
    )

    for hidden in ("ab" * 32, "an-admin-key", "secret-word", repr(settings.master_key)):
        assert hidden not in shown
    assert str(settings.admin_key) == "an-admin-key"
    assert Secret("x") != "x"


def test_a_free_port_only_affects_the_default_public_url() -> None:
    """The port chosen for 0 is in the public URL, unless a URL was given."""
    assert Settings.from_env({}, port="0").bound_to(4711).public_url == "http://127.0.0.1:4711"
    given = Settings.from_env({}, port="0", public_url="https://t.example/").bound_to(4711)
    assert (given.port, given.public_url) == (4711, "https://t.example")


def test_the_gateway_s_socket_path_fits() -> None:
    """The socket's path is short enough however long the data directory's is, and differs between directories."""
    near = Settings.from_env({}, data_dir="/srv/data").gateway_socket
    far, other = (Settings.from_env({}, data_dir=f"/srv/{'long' * 40}/{n}").gateway_socket for n in (1, 2))

    assert near == Path("/srv/data/run/gateway.sock")
    assert len(bytes(far)) <= 107
    assert far != other


def test_the_table_matches_the_settings() -> None:
    """Each row of the table is an attribute of `Settings` in the same order, and each default can be parsed."""
    assert [*(option.attribute for option in OPTIONS), DATA_DIR_LOCK, INSTANCE] == [
        field.name for field in fields(Settings)
    ]
    for option in OPTIONS:
        assert option.default is None or option.problem_with(option.default) is None
        assert option.default is not None or option.unset
        assert option.help.endswith(".")


def test_the_reference_page_matches_the_table() -> None:
    """docs/reference/settings.md is current; `python -m docs._generate.settings` writes it."""
    assert (ROOT / "docs/reference/settings.md").read_text() == page()


def test_help_explains_every_option() -> None:
    """`serve --help` has each flag, each variable and each default."""
    text = " ".join(serve.parser().format_help().split())

    for option in OPTIONS:
        assert option.variable in text.replace("- ", "-")
        if option.flag:
            assert f"{option.flag} {option.metavar}" in text
        if option.default:
            assert option.default in text


def test_text_of_round_trips() -> None:
    """The text of a value is parsed as the same value."""
    schedule = RetrySchedule((0.000001, 2592000.0))

    assert RetrySchedule.parse(text_of(schedule) or "") == schedule
    assert text_of(()) == ""
    assert text_of(None) is None


def test_settings_of_another_version_are_read() -> None:
    """An actor may get those of a gateway with other options; missing options have their defaults."""
    plain = Settings.from_env(KEYS).to_dict()
    del plain["log_format"]

    assert Settings.from_dict(plain | {"novelty": "new"}).log_format == "text"
