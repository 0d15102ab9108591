"""Streams are cut into messages by Content-Length (RFC 3261 §18.3), keep-alives dropped (RFC 5626 §3.5.1)."""

import pytest

from sip_proxy.core.message.framing import (
    MAXIMUM_BODY_BYTES,
    MAXIMUM_HEADER_BYTES,
    FramingError,
    FramingErrorKind,
    StreamFramer,
)

ONE = b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 5\r\n\r\nhello"
TWO = b"SIP/2.0 200 OK\r\nl:0\r\n\r\n"


def drain(framer: StreamFramer) -> list[bytes]:
    messages = []
    while (message := framer.next_message()) is not None:
        messages.append(message)
    return messages


def test_several_messages_in_one_piece_come_out_one_by_one() -> None:
    framer = StreamFramer()
    framer.feed(ONE + TWO + ONE)
    assert drain(framer) == [ONE, TWO, ONE]
    assert framer.is_idle()


def test_a_message_that_comes_byte_by_byte_comes_out_whole_at_its_last_byte() -> None:
    framer = StreamFramer()
    out = []
    for position, byte in enumerate(ONE + TWO):
        framer.feed(bytes([byte]))
        out += [(position, message) for message in drain(framer)]
    assert out == [(len(ONE) - 1, ONE), (len(ONE + TWO) - 1, TWO)]


def test_every_way_to_cut_two_messages_in_two_pieces_gives_the_same_messages() -> None:
    stream = ONE + TWO
    for cut in range(len(stream)):
        framer = StreamFramer()
        framer.feed(stream[:cut])
        out = drain(framer)
        framer.feed(stream[cut:])
        assert out + drain(framer) == [ONE, TWO]


def test_the_compact_form_and_any_case_of_content_length_count() -> None:
    for name in (b"l", b"L", b"content-length", b"CONTENT-LENGTH", b"Content-Length "):
        framer = StreamFramer()
        framer.feed(b"X sip:a SIP/2.0\r\n" + name + b": 2\r\n\r\nab")
        assert framer.next_message() is not None


def test_a_content_length_in_the_body_does_not_count() -> None:
    framer = StreamFramer()
    message = b"X sip:a SIP/2.0\r\nl: 22\r\n\r\nContent-Length: 1000\r\n"
    framer.feed(message)
    assert drain(framer) == [message]


def test_a_double_crlf_is_a_ping_and_is_counted_once() -> None:
    framer = StreamFramer()
    framer.feed(b"\r\n\r\n" + ONE + b"\r\n\r\n\r\n\r\n")
    assert drain(framer) == [ONE]
    assert framer.pongs_due() == 3
    assert framer.pongs_due() == 0


def test_a_single_crlf_before_a_message_is_dropped_and_is_no_ping() -> None:
    framer = StreamFramer()
    framer.feed(b"\r\n" + ONE)
    assert drain(framer) == [ONE]
    assert framer.pongs_due() == 0


def test_a_ping_that_comes_in_halves_is_one_ping() -> None:
    framer = StreamFramer()
    for piece in (b"\r\n", b"\r", b"\n"):
        framer.feed(piece)
        assert framer.next_message() is None
    assert framer.pongs_due() == 1


@pytest.mark.parametrize(
    ("stream", "kind", "status"),
    [
        (b"X sip:a SIP/2.0\r\n\r\n", FramingErrorKind.NO_CONTENT_LENGTH, 400),
        (b"X sip:a SIP/2.0\r\nl: -1\r\n\r\n", FramingErrorKind.BAD_CONTENT_LENGTH, 400),
        (b"X sip:a SIP/2.0\r\nl: 1x\r\n\r\n", FramingErrorKind.BAD_CONTENT_LENGTH, 400),
        (b"X sip:a SIP/2.0\r\nl:\r\n\r\n", FramingErrorKind.BAD_CONTENT_LENGTH, 400),
        (b"X sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n", FramingErrorKind.BAD_CONTENT_LENGTH, 400),
        (b"X sip:a SIP/2.0\r\nl: 99999999999999\r\n\r\n", FramingErrorKind.BAD_CONTENT_LENGTH, 400),
        (
            b"X sip:a SIP/2.0\r\nl: %d\r\n\r\n" % (MAXIMUM_BODY_BYTES + 1),
            FramingErrorKind.BODY_TOO_LARGE,
            413,
        ),
        (b"X sip:a SIP/2.0\r\nh: " + b"x" * 100_000, FramingErrorKind.HEADER_TOO_LARGE, 513),
        (b"\x16\x03\x01" * 20_000, FramingErrorKind.HEADER_TOO_LARGE, 513),
    ],
)
def test_a_stream_that_cannot_be_cut_is_given_up_with_the_status_to_answer(
    stream: bytes, kind: FramingErrorKind, status: int
) -> None:
    framer = StreamFramer()
    framer.feed(stream)
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert stream.startswith(caught.value.head)


def test_a_header_that_never_ends_is_given_up_without_waiting_for_more() -> None:
    framer = StreamFramer()
    framer.feed(b"x" * MAXIMUM_HEADER_BYTES)
    assert framer.next_message() is None
    framer.feed(b"x")
    with pytest.raises(FramingError):
        framer.next_message()


@pytest.mark.parametrize("cut", [1, 10, ONE.find(b"\r\n\r\n") + 2, ONE.find(b"\r\n\r\n") + 4, len(ONE) - 1])
def test_a_stream_that_ends_within_a_message_is_truncated(cut: int) -> None:
    framer = StreamFramer()
    framer.feed(TWO + ONE[:cut])
    drain(framer)
    error = framer.truncation()

    assert error is not None
    assert (error.kind, error.status, error.head) == (FramingErrorKind.TRUNCATED, 400, ONE[:cut])


def test_a_stream_that_ends_between_messages_is_whole() -> None:
    framer = StreamFramer()
    framer.feed(ONE + b"\r\n")
    drain(framer)

    assert framer.truncation() is None
