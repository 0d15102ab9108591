"""Reading From headers and the explanations of refusals."""

from __future__ import annotations

import pytest

from softphone.engine.sip_text import Party, parse_party, refusal_detail


@pytest.mark.parametrize(
    ("header", "party"),
    [
        ('"Bob Baker" <sip:0002@tollbell.local>', Party("0002", "Bob Baker", "sip:0002@tollbell.local")),
        ('"Bob \\"B\\" Baker" <sip:0002@x>;tag=1', Party("0002", 'Bob "B" Baker', "sip:0002@x")),
        ("Bob Baker <sip:0002@x;user=phone>", Party("0002", "Bob Baker", "sip:0002@x;user=phone")),
        ("<sips:0002@x>", Party("0002", "", "sips:0002@x")),
        ("sip:0002@x;tag=abc", Party("0002", "", "sip:0002@x")),
        ("<sip:127.0.0.1:5070>", Party("", "", "sip:127.0.0.1:5070")),
        ("", Party("", "", "")),
    ],
)
def test_who_calls(header: str, party: Party) -> None:
    assert parse_party(header) == party


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        (['Reason: Q.850;cause=19;text="No answer"'], "No answer"),
        (['reason : Q.850 ;cause=21; text="Blocked by \\"0002\\""'], 'Blocked by "0002"'),
        (['Warning: 399 tollbell.local "The exchange is full"'], "The exchange is full"),
        (['Warning: 399 a "from the warning"', 'Reason: Q.850;text="from the reason"'], "from the reason"),
        (["Reason: Q.850;cause=19"], ""),
        (['Subject: Reason: Q.850;text="not a header"'], ""),
        ([], ""),
    ],
)
def test_why_a_call_was_refused(headers: list[str], detail: str) -> None:
    response = (
        "\r\n".join(["SIP/2.0 480 Temporarily Unavailable", *headers, "Content-Length: 0"]) + "\r\n\r\n"
    )

    assert refusal_detail(response) == detail


def test_a_body_explains_nothing() -> None:
    response = 'SIP/2.0 480 No\r\nContent-Length: 35\r\n\r\nReason: Q.850;text="in the body"\r\n'

    assert refusal_detail(response) == ""
