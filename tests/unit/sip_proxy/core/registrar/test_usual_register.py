"""Which REGISTER is read by the pattern for usual ones, and what is left to the parser of all messages."""

import pytest

from sip_proxy.core.registrar.usual_register import read_usual_register

USUAL = (
    b"REGISTER sip:tollbell.local SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.9:5062;rport;branch=z9hG4bKabc\r\n"
    b'From: "Alice" <sip:0001@tollbell.local>;tag=x1\r\n'
    b"To: <sip:0001@tollbell.local>\r\n"
    b"Call-ID: one@192.0.2.9\r\n"
    b"CSeq: 7 REGISTER\r\n"
    b"Contact: <sip:0001@192.0.2.9:5062;ob>;expires=600\r\n"
    b"Allow: INVITE, ACK\r\n"
    b"Supported: path, gruu\r\n"
    b"User-Agent: Desk phone 1.0\r\n"
    b"Expires: 3600\r\n"
    b"Max-Forwards: 70\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def test_a_usual_register_is_taken_apart() -> None:
    usual = read_usual_register(USUAL)
    assert usual is not None
    assert (usual.uri, usual.uri_host) == ("sip:tollbell.local", "tollbell.local")
    assert (usual.via_host, usual.via_port, usual.branch_rest) == ("192.0.2.9", "5062", "abc")
    assert (usual.rport_before, usual.rport_after) == (";rport", None)
    assert usual.from_ == '"Alice" <sip:0001@tollbell.local>;tag=x1'
    assert (usual.to, usual.number) == ("<sip:0001@tollbell.local>", "0001")
    assert (usual.call_id, usual.cseq) == ("one@192.0.2.9", "7")
    assert (usual.contact, usual.contact_port) == ("sip:0001@192.0.2.9:5062;ob", "5062")
    assert (usual.contact_expires, usual.expires) == ("600", "3600")
    assert (usual.user_agent, usual.authorization) == ("Desk phone 1.0", None)


def test_the_order_of_headers_does_not_matter() -> None:
    start, via, *others = USUAL.removesuffix(b"\r\n\r\n").split(b"\r\n")
    turned = b"\r\n".join([start, via, *reversed(others)]) + b"\r\n\r\n"
    assert read_usual_register(turned) == read_usual_register(USUAL)


def test_what_a_phone_need_not_write_may_be_missing() -> None:
    for line in (b"User-Agent: Desk phone 1.0\r\n", b"Expires: 3600\r\n", b"Content-Length: 0\r\n"):
        assert read_usual_register(USUAL.replace(line, b"")) is not None


@pytest.mark.parametrize(
    ("usual", "unusual"),
    [
        (b"REGISTER sip:", b"REGISTER sips:"),
        (b"REGISTER sip:", b"REGISTER sip:0001@"),
        (b" SIP/2.0\r\nVia", b" SIP/3.0\r\nVia"),
        (b"Via: SIP/2.0/UDP", b"Via: SIP/2.0/TCP"),
        (b"Via: ", b"v: "),
        (b'"Alice" <sip:', b'"Alice" <sip:\0'),
        (b"Via: ", b"Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKx\r\nVia: "),
        (b"branch=z9hG4bKabc", b"branch=abc"),
        (b"branch=z9hG4bKabc", b"branch=z9hG4bK"),
        (b"branch=z9hG4bKabc", b"branch=z9hG4bKabc;received=192.0.2.66"),
        (b"branch=z9hG4bKabc", b"branch=z9hG4bKabc;rport"),
        (b"branch=z9hG4bKabc", b"branch=z9hG4bKabc, SIP/2.0/UDP 192.0.2.8"),
        (b":5062;rport", b":65536;rport"),
        (b":5062;rport", b":0;rport"),
        (b";tag=x1", b""),
        (b"From: ", b"f: "),
        (b'"Alice"', b'"Al\\"ice"'),
        (b'"Alice"', "\u201cAlice\u201d".encode()),
        (b'"Alice"', b'"Al\tice"'),
        (b"To: <sip:0001@tollbell.local>", b"To: <sip:0001@tollbell.local>;tag=y"),
        (b"To: <sip:0001@tollbell.local>", b"To: <sip:00%301@tollbell.local>"),
        (b"To: <sip:0001@tollbell.local>", b"To: sip:0001@tollbell.local"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7 INVITE"),
        (b"CSeq: 7 REGISTER", b"CSeq: 4294967296 REGISTER"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7 REGISTER\r\nCSeq: 8 REGISTER"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7 REGISTER\r\nRequire: outbound"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7 REGISTER\r\nProxy-Require: x"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7 REGISTER\r\nPath: <sip:192.0.2.8;lr>"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7\r\n REGISTER"),
        (b"CSeq: 7 REGISTER", b"CSeq: 7 REGISTER\r\nto: <sip:0002@tollbell.local>"),
        (b"Call-ID: one@192.0.2.9", b"Call-ID: one two"),
        (b"Call-ID: one@192.0.2.9\r\n", b""),
        (b"Contact: <sip:0001@192.0.2.9:5062;ob>;expires=600\r\n", b""),
        (b"Contact: <sip:0001@192.0.2.9:5062;ob>;expires=600", b"Contact: *"),
        (b";expires=600", b";expires=600;q=0.5"),
        (b";expires=600", b";expires=600;reg-id=1"),
        (b";expires=600", b";expires=soon"),
        (b";expires=600", b", <sip:0001@192.0.2.10>"),
        (b"Supported: path, gruu", b"Supported: path, Outbound"),
        (b"Allow: INVITE, ACK", b"Allow: INVITE,\r\n ACK"),
        (b"Expires: 3600", b"Expires: -1"),
        (b"Max-Forwards: 70", b"Max-Forwards: 300"),
        (b"Content-Length: 0\r\n\r\n", b"Content-Length: 4\r\n\r\nbody"),
        (b"Content-Length: 0\r\n\r\n", b"Content-Length: 0\r\n\r\nmore"),
        (b"Content-Length: 0\r\n\r\n", b"Content-Length: 0\r\n"),
        (b"User-Agent: Desk", b"User-Agent: " + 1400 * b"x"),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_parser(usual: bytes, unusual: bytes) -> None:
    changed = USUAL.replace(usual, unusual, 1)
    assert changed != USUAL
    assert read_usual_register(changed) is None
