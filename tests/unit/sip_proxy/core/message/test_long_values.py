"""Nobody makes the exchange think for long: reading takes time in proportion to the length.

Each of these values once took seconds to read, or minutes; a header may be 32 kB long.
"""

import contextlib
import time

import pytest

from sip_proxy.core.authentication.digest import MalformedCredentials, parse_credentials
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import parse_parameters, split_commas
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.uri import parse_uri

_LONG = 30_000
_LONG_ADDRESS = 2_000
_MOST_S = 0.3
"""CPU time; it is some milliseconds."""


def hostile_lists() -> list[str]:
    pieces = ["<", '"\\', '<"', "<a", '"\\"', ' "', ",<"]
    return [start + piece * (_LONG // len(piece)) for piece in pieces for start in (",", '<,"')]


def hostile_credentials() -> list[str]:
    return [
        "Digest a=b," + " " * _LONG + '"x',
        "Digest a=b," + "c" * _LONG + '"',
        "Digest " + "a" * _LONG,
        'Digest a="' + "\\" * _LONG,
    ]


def hostile_addresses() -> list[str]:
    pieces = ["\x0b", "a\x0b", " \x0b;", '\\"', "\x0c<"]
    return [
        start + piece * (_LONG_ADDRESS // len(piece)) + "x" for piece in pieces for start in ("", '"', "<a>")
    ]


@pytest.mark.parametrize("value", hostile_lists())
def test_lists(value: str) -> None:
    started = time.thread_time()
    split_commas(value)
    assert time.thread_time() - started < _MOST_S


@pytest.mark.parametrize("value", hostile_credentials())
def test_credentials(value: str) -> None:
    started = time.thread_time()
    with pytest.raises(MalformedCredentials):
        parse_credentials(value)
    assert time.thread_time() - started < _MOST_S


@pytest.mark.parametrize("value", [" " * _LONG + "x", ";a" + " " * _LONG + "x", ';a="' + "\\" * _LONG])
def test_parameters(value: str) -> None:
    started = time.thread_time()
    assert parse_parameters(value) is None
    assert time.thread_time() - started < _MOST_S


@pytest.mark.parametrize("value", hostile_addresses())
def test_addresses(value: str) -> None:
    started = time.thread_time()
    with contextlib.suppress(MalformedMessage):
        parse_name_addr(value)
    assert time.thread_time() - started < _MOST_S


@pytest.mark.parametrize("text", ["sip:" + ":" * _LONG_ADDRESS, "sip:" + "a:" * (_LONG_ADDRESS // 2) + "<"])
def test_uris(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(MalformedMessage):
        parse_uri(text)
    assert time.thread_time() - started < _MOST_S


def test_white_space_in_a_folded_header() -> None:
    started = time.thread_time()
    parse_message(b"OPTIONS sip:a SIP/2.0\r\nX: a" + b" " * _LONG + b"b\r\n c\r\n\r\n")
    assert time.thread_time() - started < _MOST_S


def test_what_is_folded_is_one_line_with_one_blank() -> None:
    message = parse_message(b"OPTIONS sip:a SIP/2.0\r\nX: a \t \r\n\t b\r\n  c\r\n\r\n")
    assert message.lines[1] == "X: a b c"
