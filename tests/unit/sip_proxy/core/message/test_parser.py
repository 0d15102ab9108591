"""Messages are kept as they came (RFC 3261 §7); what breaks the grammar says how to answer it."""

import pytest

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Message, Request, Response
from sip_proxy.core.message.parser import parse_message

HEADERS = [
    "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1",
    "Max-Forwards: 70",
    "From: <sip:a@example.com>;tag=1",
    "To: <sip:b@example.com>",
    "Call-ID: abc@example.com",
    "CSeq: 1 INVITE",
]


def raw(*headers: str, start: str = "INVITE sip:b@example.com SIP/2.0", body: bytes = b"") -> bytes:
    return "\r\n".join([start, *headers]).encode() + b"\r\n\r\n" + body


def replaced(name: str, line: str) -> list[str]:
    return [line if header.startswith(f"{name}:") else header for header in HEADERS]


def without(name: str) -> list[str]:
    return [header for header in HEADERS if not header.startswith(f"{name}:")]


def checked(data: bytes) -> Message:
    message = parse_message(data)
    message.check()
    return message


def test_a_request_has_its_method_uri_and_common_fields() -> None:
    request = checked(raw(*HEADERS))
    assert isinstance(request, Request)
    assert (request.method, request.uri) == ("INVITE", "sip:b@example.com")
    assert (request.call_id, request.cseq, request.from_tag, request.to_tag) == (
        "abc@example.com",
        1,
        "1",
        "",
    )
    assert request.max_forwards == 70
    assert request.via is not None
    assert request.via.branch == "z9hG4bK1"


def test_a_response_has_its_status_and_reason_even_an_empty_one() -> None:
    for start, reason in (
        ("SIP/2.0 180 Ringing away", "Ringing away"),
        ("SIP/2.0 180 ", ""),
        ("SIP/2.0 180", ""),
    ):
        response = checked(raw(*HEADERS, start=start))
        assert isinstance(response, Response)
        assert (response.status, response.reason) == (180, reason)


def test_an_untouched_message_is_given_back_byte_for_byte() -> None:
    data = raw(
        *HEADERS,
        "X-Odd :   spaced  ",
        "x-odd:again",
        "Subject: gr\u00fc\u00df dich",
        body=b"\x00\xff\r\n\r\n",
    )
    assert parse_message(data).encode() == data


def test_bytes_that_are_no_utf8_survive() -> None:
    data = raw(*HEADERS)[:-2] + b"Subject: \xff\xfe\x80\r\n\r\n"
    assert parse_message(data).encode() == data


def test_compact_forms_are_the_same_headers() -> None:
    data = raw(
        "v: SIP/2.0/UDP h;branch=z9hG4bK1", "f: <sip:a@b>;tag=1", "t: <sip:b@b>", "i: x", "CSeq: 1 INVITE",
        "m: <sip:a@h>", "l: 0",
    )  # fmt: skip
    request = checked(data)
    assert request.values("contact") == ["<sip:a@h>"]
    assert request.call_id == "x"


def test_header_names_have_any_case_and_spaces_before_the_colon() -> None:
    request = checked(raw(*without("Call-ID"), "cALL-iD \t: odd"))
    assert request.call_id == "odd"


def test_folded_lines_are_one_value() -> None:
    request = checked(raw(*HEADERS, "Subject: one\r\n  two\r\n\tthree"))
    assert request.first("subject") == "one two three"


def test_values_are_collected_over_lines_and_commas_in_order() -> None:
    request = checked(raw(*HEADERS, "Route: <sip:1;lr>, <sip:2;lr>", 'Route: "a, b" <sip:3>,<sip:4,5>'))
    assert request.values("route") == ["<sip:1;lr>", "<sip:2;lr>", '"a, b" <sip:3>', "<sip:4,5>"]


def test_several_vias_in_one_line_keep_their_order() -> None:
    request = checked(
        raw("Via: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/TCP two;branch=z9hG4bK2", *HEADERS[1:])
    )
    assert request.via is not None
    assert request.via.host == "one"
    assert request.via_rest == ["SIP/2.0/TCP two;branch=z9hG4bK2"]


def test_crlfs_before_the_start_line_are_ignored() -> None:
    assert checked(b"\r\n\r\n" + raw(*HEADERS)).call_id == "abc@example.com"


def test_bytes_after_content_length_are_dropped() -> None:
    request = checked(raw(*HEADERS, "Content-Length: 3", body=b"abcdef"))
    assert request.body == b"abc"


def test_a_reason_phrase_may_be_any_text_also_in_a_response_of_a_form_not_seen_before() -> None:
    data = raw("X-Never-Seen: 1", *HEADERS, start="SIP/2.0 200 SIP/2.0")
    for _ in range(2):  # the second one has a known shape
        response = checked(data)
        assert isinstance(response, Response)
        assert (response.status, response.reason) == (200, "SIP/2.0")


@pytest.mark.parametrize("body", [b"", b"\r\n", b"v=0\r\n\r\n", b"\r\n\r\n", b"Call-ID: other\r\n\r\n"])
def test_the_first_empty_line_ends_the_headers_whatever_the_body_ends_with(body: bytes) -> None:
    data = raw(*HEADERS, f"Content-Length: {len(body)}", body=body)
    parse_message(raw(*HEADERS, f"Content-Length: {len(body)}", "Call-ID: other"))
    for _ in range(2):  # the second one has a known shape
        message = checked(data)
        assert (message.lines[-1], message.body) == (f"Content-Length: {len(body)}", body)


def test_methods_and_header_names_may_use_every_token_character() -> None:
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    headers = replaced("CSeq", f"CSeq: 1 {method}")
    request = checked(raw(*headers, "!odd.%-*_+`'~: value", start=f"{method} sip:b@example.com SIP/2.0"))
    assert isinstance(request, Request)
    assert request.method == method


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"hello",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 100,
        bytes(range(256)),
        b"SIP/2.0 999999 Huge\r\n\r\n",
        b"SIP/2.0 abc\r\n\r\n",
        b"SIP/3.0 200 OK\r\n\r\n",
        b"INVITE\r\n\r\n",
    ],
)
def test_what_is_not_sip_at_all_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_message(data)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(raw(*without(name)), 400, id=f"without {name}")
        for name in ("Via", "From", "To", "Call-ID", "CSeq")
    ]
    + [
        pytest.param(raw(*HEADERS, line), 400, id=f"twice {line}")
        for line in (
            "From: <sip:x@y>;tag=2",
            "To: <sip:x@y>",
            "Call-ID: x",
            "CSeq: 2 INVITE",
            "Max-Forwards: 1",
        )
    ]
    + [
        pytest.param(raw(*HEADERS, "Content-Length: 0", "Content-Length: 0"), 400, id="two Content-Lengths"),
        pytest.param(raw(*HEADERS, "Content-Length: -999"), 400, id="negative Content-Length"),
        pytest.param(raw(*HEADERS, "Content-Length: 10", body=b"short"), 400, id="lying Content-Length"),
        pytest.param(raw(*HEADERS, "Content-Length: \u0662"), 400, id="Content-Length in other digits"),
        pytest.param(raw(*HEADERS)[:-4], 400, id="truncated"),
        pytest.param(raw(*HEADERS)[:-40], 400, id="truncated in a header"),
        pytest.param(raw(*HEADERS, "no colon here"), 400, id="header without colon"),
        pytest.param(raw(*HEADERS, "To"), 400, id="a known name without colon"),
        pytest.param(raw(*HEADERS, "To1"), 400, id="a known name and a letter without colon"),
        pytest.param(raw(*HEADERS, "bad name: x"), 400, id="header name with a space"),
        pytest.param(raw(*HEADERS, ": x"), 400, id="header without a name"),
        pytest.param(raw(*HEADERS, "Subject: a\nEvil: b"), 400, id="bare LF"),
        pytest.param(raw(*HEADERS, "Subject: a\rEvil: b"), 400, id="bare CR"),
        pytest.param(raw(*HEADERS, start="INVITE  sip:b@example.com SIP/2.0"), 400, id="two spaces"),
        pytest.param(raw(*HEADERS, start="INVITE sip:b@ example.com SIP/2.0"), 400, id="space in the URI"),
        pytest.param(raw(*HEADERS, start="INVITE sip:b@example.com SIP/2.0 "), 400, id="space at the end"),
        pytest.param(raw(*HEADERS, start="INVITE sip:b@example.com SIP/7.0"), 505, id="SIP/7.0"),
        pytest.param(raw(*replaced("CSeq", "CSeq: 1 BYE")), 400, id="another method in CSeq"),
        pytest.param(raw(*replaced("CSeq", "CSeq: 36893488147419103232 INVITE")), 400, id="huge CSeq"),
        pytest.param(raw(*replaced("CSeq", "CSeq: 2147483648 INVITE")), 400, id="CSeq 2**31"),
        pytest.param(raw(*replaced("CSeq", "CSeq: INVITE")), 400, id="CSeq without number"),
        pytest.param(raw(*replaced("Max-Forwards", "Max-Forwards: 300")), 400, id="Max-Forwards 300"),
        pytest.param(raw(*replaced("Max-Forwards", "Max-Forwards: many")), 400, id="Max-Forwards in words"),
        pytest.param(raw(*replaced("From", "From: <sip:a@example.com>")), 400, id="From without tag"),
        pytest.param(raw(*replaced("To", 'To: "J. User <sip:j@example.com>')), 400, id="open quote in To"),
        pytest.param(raw(*replaced("To", "To: <sip:b@example.com")), 400, id="open bracket in To"),
        pytest.param(raw(*replaced("Call-ID", "Call-ID: a b")), 400, id="space in Call-ID"),
        pytest.param(raw(*replaced("Call-ID", "Call-ID:")), 400, id="empty Call-ID"),
        pytest.param(raw(*replaced("Via", "Via: SIP/2.0/UDP")), 400, id="Via without host"),
        pytest.param(raw(*replaced("Via", "Via: ;;,;,,")), 400, id="Via of separators"),
        pytest.param(raw(*HEADERS, "Subject: " + "x" * 100_000), 513, id="100 kB header"),
    ],
)
def test_a_broken_request_raises_with_the_status_to_answer(data: bytes, status: int) -> None:
    request = parse_message(data)
    with pytest.raises(MalformedMessage) as caught:
        request.check()
    assert caught.value.status == status
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        f'From: "{"x" * 3000}" <sip:a@example.com>;tag=1',
        f"To: <sip:b@example.com>;x={'x' * 3000}",
        f"CSeq: 1{' ' * 3000}INVITE",
        f"Max-Forwards: {' ' * 3000}70",
    ],
)
def test_headers_that_are_read_often_have_a_limit_of_their_own(line: str) -> None:
    """What is remembered of messages must not be as long as strangers like."""
    name = line.partition(":")[0]
    with pytest.raises(MalformedMessage):
        checked(raw(*replaced(name, line)))
