"""The signed URI and the Request-URI must name the same resource (RFC 7616 §3.4.6)."""

import pytest

from sip_proxy.core.authentication.uri_match import digest_uri_matches


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        ("sip:0002@tollbell.local", "sip:0002@tollbell.local"),
        ("sip:0002@tollbell.local", "sip:0002@TOLLBELL.local;transport=tcp"),
        ("sip:0002@tollbell.local;user=phone", "sip:0002@tollbell.local"),
        ("sip:0002@tollbell.local:5060", "SIP:0002@tollbell.local"),
        ("sips:0002@tollbell.local", "sips:0002@tollbell.local:5061"),
        ("sip:%30002@tollbell.local", "sip:0002@tollbell.local"),
        ("sip:0002@tollbell.local", "sip:0002@tollbell.local?Subject=x"),
        ("sip:[2001:db8::1]:5060", "sip:[2001:db8::1]"),
        ("sip:192.0.2.1:5060", "sip:0002@tollbell.local"),
        ("sip:tollbell.local", "sip:tollbell.local;transport=udp"),
    ],
)
def test_the_same_resource_in_other_words(signed: str, sent: str) -> None:
    assert digest_uri_matches(signed, sent)


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        ("sip:0002@tollbell.local", "sip:0003@tollbell.local"),
        ("sip:0002@tollbell.local", "sip:tollbell.local"),
        ("sip:0002@tollbell.local", "sip:0002@elsewhere.example"),
        ("sip:0002@tollbell.local:5070", "sip:0002@tollbell.local"),
        ("sip:0002@tollbell.local", "sips:0002@tollbell.local"),
        ("sip:A@tollbell.local", "sip:a@tollbell.local"),
        ("", "sip:0002@tollbell.local"),
        ("*", "sip:0002@tollbell.local"),
        ("http://tollbell.local/", "sip:0002@tollbell.local"),
        ("sip:0002@tollbell.local", "tel:0002"),
        ("sip:tollbell.local@x@y", "sip:0002@tollbell.local"),
    ],
)
def test_another_resource(signed: str, sent: str) -> None:
    assert not digest_uri_matches(signed, sent)
