"""The ladder of a call, as text and as a picture."""

from xml.etree import ElementTree

import pytest

from sip_proxy.adapters.ladder import EXCHANGE, Ladder, LadderMessage
from sip_proxy.adapters.ladder_svg import draw_svg
from sip_proxy.adapters.ladder_text import draw_text

CALLER, CALLEE, OTHER = "192.0.2.1:5062 UDP", "[2001:db8::7]:5060 TCP", "198.51.100.9:5060 UDP"
SVG = "{http://www.w3.org/2000/svg}"


def message(at: float, peer: str, start_line: str, *, comes: bool, method: str = "INVITE") -> LadderMessage:
    return LadderMessage(at, peer, comes, start_line, method)


@pytest.fixture
def ladder() -> Ladder:
    return Ladder(
        "a@b",
        [
            message(100.0, CALLER, "INVITE sip:0002@tollbell.local SIP/2.0", comes=True),
            message(100.001, CALLEE, "INVITE sip:0002@192.0.2.7 SIP/2.0", comes=False),
            message(100.5, CALLEE, "SIP/2.0 180 Ringing", comes=True),
            message(100.501, CALLER, "SIP/2.0 180 Ringing", comes=False),
            message(112.25, CALLEE, "SIP/2.0 486 Busy Here", comes=True),
        ],
        {CALLER: "0001"},
    )


def test_text(ladder: Ladder) -> None:
    assert draw_text(ladder) == (
        "Call-ID a@b\n"
        "began   1970-01-01T00:01:40.000000Z\n"
        "\n"
        "        0001                                    exchange\n"
        " 192.0.2.1:5062 UDP                                                                "
        "[2001:db8::7]:5060 TCP\n"
        "  +0.000s |---------------- INVITE ---------------->|                                         |\n"
        "  +0.001s |                                         |---------------- INVITE ---------------->|\n"
        "  +0.500s |                                         |<--------- 180 Ringing (INVITE) ---------|\n"
        "  +0.501s |<--------- 180 Ringing (INVITE) ---------|                                         |\n"
        " +12.250s |                                         |<-------- 486 Busy Here (INVITE) --------|\n"
    )


def test_a_fork_has_a_column_for_each_phone_and_arrows_go_all_the_way() -> None:
    ladder = Ladder(
        "fork",
        [
            message(1.0, CALLER, "INVITE sip:x SIP/2.0", comes=True),
            message(1.0, CALLEE, "INVITE sip:x SIP/2.0", comes=False),
            message(1.0, OTHER, "INVITE sip:x SIP/2.0", comes=False),
        ],
        {},
    )
    assert ladder.columns == [CALLER, EXCHANGE, CALLEE, OTHER]
    last = draw_text(ladder).splitlines()[-1]

    assert last.endswith(">|")
    assert last.count("|") == 3  # it passes the line of the phone between


def test_a_call_within_one_phone_has_two_columns() -> None:
    ladder = Ladder("self", [message(1.0, CALLER, "OPTIONS sip:x SIP/2.0", comes=False)], {})

    assert ladder.columns == [CALLER, EXCHANGE]
    assert "<" in draw_text(ladder).splitlines()[-1]


def test_a_picture_has_a_line_for_each_message_and_says_which_failed(ladder: Ladder) -> None:
    picture = ElementTree.fromstring(draw_svg(ladder))
    arrows = [line.attrib for line in picture.iter(f"{SVG}line") if line.attrib["class"] != "life"]

    assert [arrow["class"] for arrow in arrows] == ["request", "request", "response", "response", "failure"]
    assert int(arrows[0]["x1"]) < int(arrows[0]["x2"])
    assert int(arrows[3]["x1"]) > int(arrows[3]["x2"])
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    for wanted in ("0001", CALLER, "exchange", CALLEE, "180 Ringing (INVITE)", "+0.501 s"):
        assert wanted in texts


@pytest.mark.parametrize("bad", ["<script>", "&amp;", "\0\x1b[31m", "\ud800", "]]>", '"', "x" * 5000])
def test_whatever_a_phone_writes_stays_text(bad: str) -> None:
    messages = [
        message(1.0, CALLER, f"{bad} sip:x SIP/2.0", comes=True),
        message(1.0, CALLER, f"SIP/2.0 200 {bad}", comes=False, method=bad),
    ]
    ladder = Ladder(bad, messages, {CALLER: bad})
    picture = draw_svg(ladder)

    assert ElementTree.fromstring(picture.encode()) is not None
    assert "<script>" not in picture
    text = draw_text(ladder)
    text.encode()
    assert "\x1b" not in text
    assert len(text.splitlines()) == 7
