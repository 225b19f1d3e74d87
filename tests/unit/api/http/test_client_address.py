"""`api.http.client_address`: forwarding headers, well-formed, odd and forged."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.client_address import ClientAddresses, canonical_address

PROXY, CLIENT, FORGED = "10.0.0.1", "203.0.113.7", "198.51.100.66"
ADDRESSES = ClientAddresses([ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")])
XFF, FORWARDED = "X-Forwarded-For", "Forwarded"


def client_of(*headers: tuple[str, str]) -> str:
    """The client of a request from a trusted proxy with these headers."""
    return ADDRESSES.of(PROXY, [(name.lower().encode(), value.encode("latin-1")) for name, value in headers])


@pytest.mark.parametrize(
    "forwarded",
    [
        f'host="a;for={FORGED}";for={CLIENT}',
        f'host="a,for={FORGED}";for={CLIENT}',
        f'for={CLIENT};host="a, for={FORGED}"',
        f'for={CLIENT};host="a\\";for={FORGED}"',
        f'for={CLIENT};host="a\\\\";proto=https',
        'for="20\\3.0.113.7"',
        f'for="{CLIENT}:_a.b-c"',
        f"FOR = {CLIENT} ; proto=http",
        f"for={CLIENT};host=example.com:8080",
        f", ,for={CLIENT};;, ,",
        f'for="{FORGED}, for={CLIENT}',
        f'for={FORGED};x=", for={CLIENT}',
    ],
)
def test_what_is_quoted_is_no_parameter(forwarded: str) -> None:
    """Quoted strings may contain delimiters and escapes; a quote without its end hides nothing to its right."""
    assert client_of((FORWARDED, forwarded)) == CLIENT


@pytest.mark.parametrize(
    "node", ["unknown", '"_hidden"', "", '"', "203.0.113", '"[2001:db8::1"', '"203.0.113.7', "a=b"]
)
def test_an_unusable_node_leaves_the_proxy(node: str) -> None:
    """An obfuscated or malformed node ends the search: what is to its left may be forged."""
    assert client_of((FORWARDED, f"for={FORGED}, for={node}")) == PROXY


def test_two_nodes_in_one_element_are_no_statement() -> None:
    """RFC 7239 allows `for` once in an element; neither can be believed otherwise."""
    assert client_of((FORWARDED, f"for={FORGED};for={CLIENT}")) == PROXY


@pytest.mark.parametrize(
    "xff", [f"{CLIENT},", f"{CLIENT}, ,", f",{CLIENT},,10.2.3.4,", f'"{CLIENT}"', f"\t{CLIENT}:80 "]
)
def test_empty_elements_of_a_list_are_skipped(xff: str) -> None:
    """RFC 9110, section 5.6.1: they do not count."""
    assert client_of((XFF, xff)) == CLIENT


@pytest.mark.parametrize("bad", ["", ",", " , ,", "unknown", "_hidden", '"', "10.9.9.9", "unknown, 10.9.9.9"])
@pytest.mark.parametrize("order", [1, -1])
def test_an_unusable_header_does_not_hide_the_other(bad: str, order: int) -> None:
    """A header that leads to no client gives way to the other kind, whichever comes first."""
    assert client_of(*[(XFF, bad), (FORWARDED, f"for={CLIENT}")][::order]) == CLIENT
    as_node = f"for={bad}" if bad.strip(" ,") else bad
    assert client_of(*[(FORWARDED, as_node), (XFF, CLIENT)][::order]) == CLIENT


def test_the_last_known_address_counts_if_no_header_leads_to_a_client() -> None:
    """It is that of the innermost proxy, from either header."""
    assert client_of((XFF, "unknown"), (FORWARDED, "for=10.3.3.3")) == "10.3.3.3"
    assert client_of((XFF, "10.2.2.2"), (FORWARDED, "for=unknown")) == "10.2.2.2"


def test_several_lines_are_one_list() -> None:
    """The last line is the nearest; a line that is empty or cut off does not affect the others."""
    assert client_of((XFF, FORGED), (XFF, f"{CLIENT}, 10.1.1.1"), (XFF, "")) == CLIENT
    assert client_of((FORWARDED, f'for={FORGED};x="'), (FORWARDED, f'for={CLIENT};y="a"'), (FORWARDED, ",")) == CLIENT


# --- generated headers


def is_a_client(ip: IPv4Address | IPv6Address) -> bool:
    """Whether it is not a proxy's address, and canonical."""
    return not ADDRESSES.trusts(str(ip)) and canonical_address(str(ip)) == str(ip)


TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
TEXTS = st.text('ab,;="\\ \t=for.16', max_size=12)
CLIENTS: st.SearchStrategy[IPv4Address | IPv6Address] = st.ip_addresses().filter(is_a_client)
PORTS = st.one_of(st.just(""), st.integers(0, 65535).map(lambda n: f":{n}"), TOKENS.map(lambda t: f":_{t}"))


def quoted(draw: st.DrawFn, text: str) -> str:
    """`text` as a quoted string that escapes what must be escaped, and sometimes more."""
    escaped = "".join(f"\\{c}" if c in '"\\' or draw(st.integers(0, 9)) == 0 else c for c in text)
    return f'"{escaped}"'


@st.composite
def elements(draw: st.DrawFn, ip: IPv4Address | IPv6Address) -> str:
    """An element of `Forwarded` for this client, in any of the spellings of RFC 7239."""
    port = draw(PORTS.filter(lambda p: all(c.isalnum() or c in ":._-" for c in p)))
    node = f"{ip}{port}" if ip.version == 4 else f"[{ip}]{port}"
    is_token = ip.version == 4 and not port
    value = node if is_token and draw(st.booleans()) else quoted(draw, node)
    pairs = [f"{draw(st.sampled_from(['for', 'For', 'FOR']))}={value}"]
    others = draw(st.lists(st.sampled_from(["by", "host", "proto", "secret", "for-x"]), unique=True))
    values = [draw(TOKENS) if draw(st.booleans()) else quoted(draw, draw(TEXTS)) for _ in others]
    pairs += [f"{name}={value}" for name, value in zip(others, values, strict=True)]
    return ";".join(draw(st.permutations(pairs)))


@given(data=st.data(), client=CLIENTS, proxies=st.integers(0, 3), sent=st.lists(TEXTS))
def test_whatever_a_client_sends_the_proxys_word_counts(
    data: st.DataObject, client: IPv4Address | IPv6Address, proxies: int, sent: list[str]
) -> None:
    """After any text from the client, what trusted proxies appended is read as they meant it."""
    hops = [client, *(IPv4Address(f"10.0.0.{n + 2}") for n in range(proxies))]
    appended = [data.draw(elements(hop)) for hop in hops]
    glue = data.draw(st.sampled_from([",", ", ", " ,\t", ",,"]))
    one_line = glue.join([*sent, *appended])
    assert client_of((FORWARDED, one_line)) == str(client)
    assert client_of(*((FORWARDED, line) for line in [*sent, *appended])) == str(client)


@given(text=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")))
def test_any_header_gives_an_address(text: str) -> None:
    """No text makes the search fail."""
    found = client_of((XFF, text), (FORWARDED, text))
    assert found == str(IPv6Address(found) if ":" in found else IPv4Address(found))
