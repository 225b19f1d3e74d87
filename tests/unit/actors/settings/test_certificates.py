"""Files of certificate authorities, as operators have them and as they should not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.adapters.http_connector import tls_context
from actors.settings import Settings
from actors.settings.certificates import MAX_BYTES, authorities
from domain.errors import InvalidInput
from tests.raw_handler import make_certificates


@pytest.fixture
def pem(tmp_path: Path) -> bytes:
    """A certificate, without its key."""
    make_certificates(tmp_path, "a.example")
    return (tmp_path / "server.pem").read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2]


def test_only_certificates_are_taken(tmp_path: Path, pem: bytes) -> None:
    """Comments in any encoding, Windows line ends and private keys do not matter, and are not passed on."""
    file = tmp_path / "authorities.pem"
    key = b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"
    file.write_bytes(b"\xef\xbb\xbf# Caf\xe9 authority\r\n" + pem.replace(b"\n", b"\r\n") + key + pem)
    before = len(tls_context().get_ca_certs())
    content = authorities(str(file))

    assert content.count("BEGIN CERTIFICATE") == 2
    assert "secret" not in content
    assert len(tls_context(content).get_ca_certs()) == before + 1
    assert authorities(content) == content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hello", "has no certificate in PEM"),
        (b"\x30\x82\x01\x01\x00", "has no certificate in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "has no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has a certificate that cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n", "has a certificate that cannot be read"),
        (b"PEM", "has a certificate that is cut off"),
        (b"#" * (MAX_BYTES + 1), "is larger than 4 MiB"),
    ],
)
def test_useless_files_are_explained(content: bytes, words: str, tmp_path: Path, pem: bytes) -> None:
    """The sentence names the option and the file, and what is wrong with it."""
    file = tmp_path / "bad.pem"
    file.write_bytes(pem + pem[:-40] if content == b"PEM" else content)

    with pytest.raises(InvalidInput) as caught:
        Settings.from_env({"FEEDBACK_LOOPS_HANDLER_CA_FILE": str(file)})

    ((name, problem),) = caught.value.problems
    assert name == "--handler-ca-file (FEEDBACK_LOOPS_HANDLER_CA_FILE)"
    assert problem.startswith("must be a PEM file of certificate authorities; ")
    assert problem.endswith(f"{file} {words}")


@pytest.mark.parametrize("name", ["missing.pem", ".", "a\0b", "x" * 300])
def test_unreadable_files_are_explained(name: str, tmp_path: Path) -> None:
    """A path without a file behind it is refused with the operating system's reason."""
    with pytest.raises(InvalidInput, match=r"--handler-ca-file.*cannot be read: "):
        Settings.from_env({}, handler_ca_file=f"{tmp_path}/{name}")


def test_other_processes_get_the_content(tmp_path: Path, pem: bytes) -> None:
    """The settings for other processes, maybe on other machines, have the certificates instead of the path."""
    file = tmp_path / "authorities.pem"
    file.write_bytes(pem)
    keys = {"FEEDBACK_LOOPS_MASTER_KEY": "ab" * 32, "FEEDBACK_LOOPS_ADMIN_KEY": "an-admin-key"}
    plain = Settings.from_env(keys, handler_ca_file=str(file)).to_dict()
    file.unlink()

    assert Settings.from_dict(plain).handler_ca_file_pem == pem.decode()
    assert str(tmp_path) not in str(plain)
    assert Settings.from_env({"FEEDBACK_LOOPS_HANDLER_CA_FILE": ""}).handler_ca_file_pem is None
