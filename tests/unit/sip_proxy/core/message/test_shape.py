"""The shape of a message follows from its header names, and is remembered by them."""

import pytest

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.shape import Shape, known_shape, shape_of

NAMES = ["Via:", "f:", "To:", "i:", "CSeq:", "Route:", "route:"]
LINES = ["OPTIONS sip:a@b SIP/2.0", *(f"{name} value {index}" for index, name in enumerate(NAMES))]


def shape(*keys: str) -> Shape:
    return Shape(("", *keys))


def test_the_same_names_are_the_same_shape_whatever_the_values_are() -> None:
    first = shape_of(LINES)
    assert first.keys == ("", "via", "from", "to", "call-id", "cseq", "route", "route")
    others = [line + "!" for line in LINES]
    assert shape_of(others) is first
    assert known_shape(others) is first
    assert known_shape(LINES[:-1]) is None
    assert known_shape([*LINES[:3], LINES[3] + "\nRoute: x", *LINES[4:]]) is None
    assert known_shape([*LINES[:-1], LINES[-1] + "\r"]) is None
    assert shape_of(LINES[:-1]) is not first


def test_what_only_looks_like_a_message_seen_before_has_its_own_shape() -> None:
    """Looks are a guess; every line is held against it."""
    known = shape_of(LINES)
    renamed = [line.replace("CSeq:", "CSeq-:") for line in LINES]
    folded = [line.replace("CSeq:", " CSeq:") for line in LINES]
    assert known_shape(LINES) is known
    assert known_shape(renamed) is None
    assert known_shape(folded) is None
    assert shape_of(renamed).keys == (*known.keys[:5], "cseq-", *known.keys[6:])
    assert known_shape(LINES) in {known, None}  # both look alike, and the last one is remembered
    assert shape_of(LINES) is known


def test_it_knows_where_the_first_line_of_each_header_is() -> None:
    known = shape_of(LINES)
    assert (known.via, known.from_, known.to, known.call_id, known.cseq) == (1, 2, 3, 4, 5)
    assert known.at["route"] == 6
    assert (known.content_length, known.max_forwards) == (0, 0)
    assert known.has_one_via
    assert known.fault == ""


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (("via", "from", "to", "cseq"), "Missing Call-ID"),
        (("via", "from", "to", "call-id", "cseq", "cseq"), "More than one CSeq"),
        (("via", "via", "from", "to", "call-id", "cseq", "route", "route"), ""),
    ],
)
def test_what_is_missing_or_there_too_often_is_its_fault(keys: tuple[str, ...], fault: str) -> None:
    assert shape(*keys).fault == fault


def test_it_picks_lines_by_their_keys_in_order() -> None:
    known = shape_of(LINES)
    assert known.only(frozenset({"route", "via"}))(LINES) == (LINES[1], LINES[6], LINES[7])
    assert known.without(frozenset({"", "route", "via"}))(LINES) == tuple(LINES[2:6])
    assert list(known.only(frozenset({"to"}))(LINES)) == [LINES[3]]
    assert list(known.only(frozenset({"expires"}))(LINES)) == []


def test_a_line_more_is_another_shape_which_is_remembered_too() -> None:
    known = shape_of(LINES)
    longer = known.plus("session-expires")
    assert longer.keys == (*known.keys, "session-expires")
    assert known.plus("session-expires") is longer
    assert "session-expires" not in known.at


def test_lines_that_are_no_header_are_never_taken_for_another_message() -> None:
    """Their names are missing from the memory's key, or are none."""
    head = b"OPTIONS sip:a@b SIP/2.0\r\nX-A: 1\r\nX-B: 2\r\n"
    good, without_colon, broken = (
        parse_message(head + end)
        for end in (b"X-C: 3\r\n\r\n", b"no colon\r\nX-C: 3\r\n\r\n", b"X-C: 3\nX-D: 4\r\n\r\n")
    )
    assert good.keys == ("", "x-a", "x-b", "x-c")
    assert good.shape.is_readable
    assert without_colon.keys[3] == "?"
    assert without_colon.defect is not None
    assert broken.defect is not None
    assert parse_message(head + b"X-C: 3\r\n\r\n").shape is good.shape


def test_strangers_can_not_fill_the_memory() -> None:
    begin = "OPTIONS sip:a@b SIP/2.0\r\n"
    first = parse_message(f"{begin}X-0: 1\r\n\r\n".encode())
    for serial in range(3000):
        parse_message(f"{begin}X-{serial}: 1\r\n\r\n".encode())
    again = parse_message(f"{begin}X-0: 1\r\n\r\n".encode())
    assert again.shape is not first.shape  # it had to make room in between
    assert again.keys == first.keys
    for headers in ("X" * 2000 + ": 1", "\r\n".join(100 * ["X: 1"])):
        long = f"{begin}{headers}\r\n\r\n".encode()
        assert parse_message(long).shape is not parse_message(long).shape


def test_a_keep_alive_is_not_taken_for_the_beginning_of_a_message() -> None:
    """Messages may have empty lines before them (RFC 3261 §7.5), also after a datagram of nothing else."""
    with pytest.raises(MalformedMessage):
        parse_message(b"\r\n" * 6)
    assert isinstance(parse_message(b"\r\n\r\nOPTIONS sip:a@b SIP/2.0\r\nX: 1\r\n\r\n"), Request)
