"""`api.tracking.app.location_of`: a redirect leads to the link's target."""

from __future__ import annotations

from urllib.parse import unquote

import idna
from hypothesis import assume, given
from hypothesis import strategies as st

from api.tracking.app import location_of

LETTERS = "abcxyzäöüéбгдяαβγ日本中文"
HOSTS = st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=1, max_size=4).map(".".join)
REST = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="%"), max_size=30)
USERS = st.one_of(st.just(""), st.text("abß:@%4 ", max_size=10).map(lambda text: f"{text}@"))
PORTS = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"), st.just(":"))


@given(
    scheme=st.sampled_from(["http://", "https://", "HTTPS://"]),
    user=USERS,
    host=HOSTS,
    port=PORTS,
    separator=st.sampled_from(["", "/", "?", "#", "/?", "/#", "?#"]),
    rest=REST,
)
def test_only_the_host_is_normalised(scheme: str, user: str, host: str, port: str, separator: str, rest: str) -> None:
    """Scheme, user, port, path, query and fragment stay the same, percent-encoded if not ASCII."""
    assume(separator or not rest)
    found = location_of(f"{scheme}{user}{host}{port}{separator}{rest}")
    assert found is not None
    assert found.isascii()
    location = found.decode()
    before, after = f"{scheme}{user}", f"{port}{separator}{rest}"
    name = idna.encode(host, uts46=True).decode()
    head, _, tail = location.partition(name) if not user else _split_after_user(location, name)
    assert unquote(head) == unquote(before)
    assert unquote(tail) == after


def _split_after_user(location: str, name: str) -> tuple[str, str, str]:
    """Splits at the last `@` before the path, which ends the user."""
    end = min((at for at in map(location.find, "/?#", [8, 8, 8]) if at >= 0), default=len(location))
    start = location.rindex("@", 0, end) + 1
    assert location.startswith(name, start)
    return location[:start], name, location[start + len(name) :]


@given(st.text(max_size=60).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_any_target_has_a_one_line_location(rest: str) -> None:
    """No target can end the header or raise."""
    found = location_of(f"https://{rest}")
    assert found is not None
    assert all(0x21 <= byte <= 0x7E for byte in found)
