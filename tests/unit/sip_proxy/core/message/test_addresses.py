"""URIs (RFC 3261 §19.1, RFC 3966), addresses (§20.10) and Via values (§20.42, RFC 3581)."""

import pytest

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import parse_parameters, printable, quote_string, unquote_string
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.uri import UnknownScheme, parse_uri
from sip_proxy.core.message.via import parse_via, read_usual_via, with_source


def test_a_sip_uri_comes_apart() -> None:
    uri = parse_uri("sip:alice:secret@Example.COM:5080;transport=tcp;lr?subject=x&to=y")
    assert (uri.scheme, uri.user, uri.host, uri.port) == ("sip", "alice", "example.com", 5080)
    assert uri.parameters == {"transport": "tcp", "lr": ""}
    assert uri.headers == "?subject=x&to=y"


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:example.com", "", "example.com", None),
        ("SIPS:0001@192.0.2.1", "0001", "192.0.2.1", None),
        ("sip:a@[2001:db8::1]:5061", "a", "[2001:db8::1]", 5061),
        ("sip:alice;day=tuesday@atlanta.com", "alice;day=tuesday", "atlanta.com", None),
        ("sip:user?q=1@host", "user?q=1", "host", None),
        ("sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com", "1_unusual.URI~(to-be!sure)"
         "&isn't+it$/crazy?,/;;*", "example.com", None),
    ],
)  # fmt: skip
def test_uris_of_many_forms_are_read(text: str, user: str, host: str, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


def test_the_number_is_decoded_and_without_its_parameters() -> None:
    assert parse_uri("sip:%30%3001;phone-context=x@h").number == "0001"
    assert parse_uri("tel:+41-(44)-123.45").number == "+414412345"
    assert parse_uri("sip:user;par=1@h").number == "user;par=1"
    assert parse_uri("tel:0001;phone-context=tollbell.local").number == "0001"


def test_the_address_of_an_ipv6_reference_has_no_brackets() -> None:
    assert parse_uri("sip:[2001:db8::1]").address == "2001:db8::1"


@pytest.mark.parametrize(
    "text",
    ["", "sip:", "sip:@h", "sip:a@", "sip:a@h:0", "sip:a@h:99999", "sip:a@h:x", "sip:a b@h", "<sip:a@h>",
     "sip:a@h;;", "sip:%zz@h", "sip:a@h;p=1;p=2", "sip:a@h;x=\0",
     "sip:\x07@h", "sip:a@h;\x7f", "sip:a@[1::2::3]", "0001", "tel:", "sip:a@[::1", "sip:a@h\r\nX: y"],
)  # fmt: skip
def test_a_malformed_uri_is_a_400(text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_uri(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "text", ["http://example.com", "nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://1"]
)
def test_an_unknown_scheme_is_a_416(text: str) -> None:
    with pytest.raises(UnknownScheme) as caught:
        parse_uri(text)
    assert caught.value.status == 416


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com", "sip:alice@AtLanTa.CoM"),
        ("sip:a@h;x=1", "sip:a@h;y=2"),
        ("sip:a@h;transport=TCP", "SIP:a@h;transport=tcp"),
        ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0:0:0:0:0:1]"),
    ],
)
def test_uris_that_rfc_3261_calls_equal_have_equal_keys(one: str, other: str) -> None:
    assert parse_uri(one).equality_key() == parse_uri(other).equality_key()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:alice@h", "sip:ALICE@h"),
        ("sip:a@h", "sip:a@h:5060"),
        ("sip:a@h", "sip:a@h;transport=udp"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h1", "sip:a@h2"),
    ],
)
def test_uris_that_rfc_3261_calls_different_have_different_keys(one: str, other: str) -> None:
    assert parse_uri(one).equality_key() != parse_uri(other).equality_key()


@pytest.mark.parametrize(
    ("value", "name", "uri", "tag"),
    [
        ("<sip:a@h>;tag=1", "", "sip:a@h", "1"),
        ('"A \\"quoted\\" name" <sip:a@h>;tag=1', 'A "quoted" name', "sip:a@h", "1"),
        ("Bob the builder   <sip:a@h;p=1> ; tag = x", "Bob the builder", "sip:a@h;p=1", "x"),
        ("sip:a@h;tag=1", "", "sip:a@h", "1"),
        ('"J\u00fcrg, \u5927"<sip:a@h>', "J\u00fcrg, \u5927", "sip:a@h", ""),
        ('"caller"<sip:a@[::1]>;x="y;z";tag=1', "caller", "sip:a@[::1]", "1"),
        ('"a<b>c" <sip:a@h>', "a<b>c", "sip:a@h", ""),
    ],
)
def test_addresses_of_many_forms_are_read(value: str, name: str, uri: str, tag: str) -> None:
    address = parse_name_addr(value)
    assert (address.display_name, address.uri, address.tag) == (name, uri, tag)


@pytest.mark.parametrize(
    "value",
    [
        "",
        '"open <sip:a@h>',
        "<sip:a@h",
        "sip:a@h>",
        "<sip:a b@h>",
        "<sip:a@h> junk",
        "sip:a@h?x=y",
        "<sip:a@h;\0>",
        "Bell, Alexander <sip:a@h>",
        "a;b <sip:a@h>",
    ],
)
def test_a_malformed_address_is_a_400(value: str) -> None:
    with pytest.raises(MalformedMessage):
        parse_name_addr(value)


def test_a_via_comes_apart_even_with_odd_spaces() -> None:
    via = parse_via(" SIP / 2.0 / udp   Host.Example : 5080 ; branch = z9hG4bKx ;rport; hidden ")
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "host.example", 5080, "z9hG4bKx")
    assert "rport" in via.parameters


@pytest.mark.parametrize("rest", ["", ";branch=z9hG4bKa", ";rport;branch=z9hG4bKa", " ; branch=z9hG4bKa"])
def test_a_via_with_a_port_that_there_is_not_is_malformed(rest: str) -> None:
    """Nothing can be sent there, and the answer to a request goes there (RFC 3261 §18.2.2)."""
    assert parse_via(f"SIP/2.0/UDP 192.0.2.9:65535{rest}").port == 65535
    value = f"SIP/2.0/UDP 192.0.2.9:65536{rest}"
    with pytest.raises(MalformedMessage):
        parse_via(value)
    assert read_usual_via(f"Via: {value}", "192.0.2.9", 5060) is None


def test_only_a_branch_with_the_cookie_and_more_is_unique() -> None:
    assert parse_via("SIP/2.0/UDP h;branch=z9hG4bKa").has_magic_cookie
    assert not parse_via("SIP/2.0/UDP h;branch=z9hG4bK").has_magic_cookie
    assert not parse_via("SIP/2.0/UDP h;branch=1").has_magic_cookie
    assert not parse_via("SIP/2.0/UDP h").has_magic_cookie


@pytest.mark.parametrize(
    ("value", "stamped"),
    [
        ("SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa"),
        ("SIP/2.0/UDP 10.0.0.1;branch=b", "SIP/2.0/UDP 10.0.0.1;branch=b;received=192.0.2.9"),
        (
            "SIP/2.0/UDP 192.0.2.9;rport;branch=b",
            "SIP/2.0/UDP 192.0.2.9;rport=777;branch=b;received=192.0.2.9",
        ),
        ("SIP/2.0/UDP h;branch=b;rport", "SIP/2.0/UDP h;branch=b;rport=777;received=192.0.2.9"),
        ("SIP/2.0/UDP h;rport=1;received=1.2.3.4", "SIP/2.0/UDP h;rport=777;received=192.0.2.9"),
    ],
)
def test_the_true_source_is_written_into_the_via(value: str, stamped: str) -> None:
    """RFC 3261 §18.2.1, RFC 3581 §4."""
    assert with_source(value, parse_via(value), "192.0.2.9", 777) == stamped


def test_a_parameter_named_twice_or_broken_is_refused() -> None:
    assert parse_parameters(";a=1;b") == {"a": "1", "b": ""}
    assert parse_parameters(";a=1;A=2") is None
    assert parse_parameters(";a=1 junk") is None


def test_quoting_and_unquoting_are_inverse_and_never_break_a_line() -> None:
    assert unquote_string(quote_string('a "b" \\ c')) == 'a "b" \\ c'
    assert "\r" not in quote_string("a\r\nVia: evil")
    assert "\n" not in quote_string("a\r\nVia: evil")


def test_text_for_people_has_no_control_characters_no_broken_utf8_and_an_end() -> None:
    assert printable("a\x00b\x1b[31m\udcff") == "a\ufffdb\ufffd[31m\ufffd"
    assert len(printable("x" * 10_000)) == 256
