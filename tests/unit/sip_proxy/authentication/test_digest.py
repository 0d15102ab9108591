"""Reading digest credentials and computing responses (RFC 7616 §3.4, RFC 3261 §22.4)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_proxy.core.authentication.digest import (
    Algorithm,
    MalformedCredentials,
    compute_response,
    no_ones_ha1,
    parse_credentials,
)

FULL = (
    'Digest username="0001", realm="tollbell.local", nonce="abc=", uri="sip:0002@tollbell.local", '
    'response="0123456789abcdef0123456789abcdef", algorithm=MD5, cnonce="f2/wE4", qop=auth, nc=00000001'
)
NAMES = ("username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "nonce_count_text")


def test_reads_what_a_phone_sends() -> None:
    credentials = parse_credentials(FULL)

    assert credentials.username == "0001"
    assert credentials.realm == "tollbell.local"
    assert credentials.nonce == "abc="
    assert credentials.uri == "sip:0002@tollbell.local"
    assert credentials.response == "0123456789abcdef0123456789abcdef"
    assert credentials.algorithm is Algorithm.MD5
    assert credentials.cnonce == "f2/wE4"
    assert credentials.nonce_count == 1
    assert credentials.nonce_count_text == "00000001"


@pytest.mark.parametrize(
    "variant",
    [
        FULL.replace("qop=auth", 'qop="auth"'),
        FULL.replace("algorithm=MD5", 'algorithm="md5"'),
        FULL.replace("nc=00000001", 'nc="00000001"'),
        FULL.replace(", algorithm=MD5", ""),
        FULL.replace("Digest ", "dIGEST  "),
        FULL.replace(", ", ","),
        FULL.replace(", ", ",\r\n  "),
        FULL.replace("username=", "USERNAME = "),
        FULL.replace('uri="sip:0002@tollbell.local"', "uri=sip:0002@tollbell.local"),
        FULL + ', opaque="", x-unknown=1',
        FULL + ",",
    ],
)
def test_reads_how_real_phones_write_it(variant: str) -> None:
    read, expected = parse_credentials(variant), parse_credentials(FULL)
    for name in NAMES:
        assert getattr(read, name) == getattr(expected, name)


def test_a_parameter_without_quotes_may_hold_what_a_token_may_not() -> None:
    assert parse_credentials(FULL.replace('nonce="abc="', "nonce=abc==")).nonce == "abc=="


def test_a_quoted_pair_stands_for_its_character() -> None:
    assert parse_credentials(FULL.replace('username="0001"', r'username="a\"b\\c"')).username == r'a"b\c'


def test_a_comma_inside_quotes_separates_nothing() -> None:
    assert parse_credentials(FULL.replace('cnonce="f2/wE4"', 'cnonce="a, nonce=b"')).nonce == "abc="


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("Basic MDAwMTpzZWNyZXQ=", "Only Digest"),
        ("", "Only Digest"),
        ("Digest", "qop=auth"),
        (FULL.replace(", qop=auth", ""), "qop=auth"),
        (FULL.replace("qop=auth", "qop=auth-int"), "qop=auth"),
        (FULL.replace("algorithm=MD5", "algorithm=MD5-sess"), "algorithm"),
        (FULL.replace("algorithm=MD5", "algorithm=AKAv1-MD5"), "algorithm"),
        (FULL.replace("nc=00000001", "nc=1g"), "nonce count"),
        (FULL.replace("nc=00000001", "nc=-1"), "nonce count"),
        (FULL.replace("nc=00000001", "nc=000000001"), "nonce count"),
        (FULL.replace(", nc=00000001", ""), "nonce count"),
        (FULL.replace('username="0001", ', ""), "username"),
        (FULL.replace('cnonce="f2/wE4", ', ""), "cnonce"),
        (FULL.replace('response="0123456789abcdef0123456789abcdef", ', ""), "response"),
        (FULL + ', username="0002"', "two usernames"),
        (FULL + ', realm="open', "Malformed"),
        (FULL + ' nonsense="1"', "Malformed"),
        (FULL.replace('uri="', 'uri=""'), "Malformed"),
    ],
)
def test_unusable_credentials_say_what_is_wrong(broken: str, why: str) -> None:
    with pytest.raises(MalformedCredentials, match=why):
        parse_credentials(broken)


@given(st.text())
def test_no_text_breaks_the_parser(value: str) -> None:
    with pytest.raises(MalformedCredentials):
        parse_credentials(value)
    with pytest.raises(MalformedCredentials):
        parse_credentials("Digest " + value)


QUOTABLE = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n'))


@given(username=QUOTABLE, nonce=QUOTABLE, cnonce=QUOTABLE)
def test_quoted_values_arrive_unchanged(username: str, nonce: str, cnonce: str) -> None:
    credentials = parse_credentials(
        f'Digest cnonce="{cnonce}",nc=00000001,qop=auth,username="{username}",realm="r",nonce="{nonce}",'
        'uri="sip:r",response="0"'
    )

    assert (credentials.username, credentials.nonce, credentials.cnonce) == (username, nonce, cnonce)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm.SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_computes_the_responses_of_rfc_7616_3_9_1(algorithm: Algorithm, response: str) -> None:
    hashed = hashlib.md5 if algorithm is Algorithm.MD5 else hashlib.sha256
    ha1 = hashed(b"Mufasa:http-auth@example.org:Circle of Life").hexdigest()

    assert (
        compute_response(
            algorithm=algorithm,
            ha1=ha1,
            method="GET",
            uri="/dir/index.html",
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            nonce_count="00000001",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        )
        == response
    )


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_no_password_has_the_ha1_of_no_one(algorithm: Algorithm) -> None:
    ha1 = no_ones_ha1(algorithm)

    assert len(ha1) == {Algorithm.MD5: 32, Algorithm.SHA_256: 64}[algorithm]
    with pytest.raises(ValueError, match="hexadecimal"):
        bytes.fromhex(ha1)
