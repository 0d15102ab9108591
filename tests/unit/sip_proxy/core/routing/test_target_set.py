"""Where requests go, and how far they may be forked (RFC 3261 §16.5, §16.6, RFC 5393, RFC 5626 §6)."""

import pytest

from sip_proxy.core.flow import Transport
from tests.support.sip_phones import DOMAIN, Exchange, Phone


def forked(count: int) -> tuple[Exchange, Phone, list[Phone]]:
    """A caller, and this many phones of 0002."""
    exchange = Exchange()
    return exchange, exchange.phone("0001"), [exchange.phone("0002") for _ in range(count)]


def test_max_breadth_is_60_where_nobody_said() -> None:
    """RFC 5393 §5.3.3."""
    _, caller, (phone,) = forked(1)
    caller.invite("0002")
    assert phone.request("INVITE").values("max-breadth") == ["60"]


def test_the_branches_share_the_breadth_and_get_no_more_than_came() -> None:
    _, caller, phones = forked(3)
    caller.invite("0002", headers=("Max-Breadth: 7",))
    breadths = [int(phone.request("INVITE").first("max-breadth") or "") for phone in phones]
    assert breadths == [2, 2, 2]


@pytest.mark.parametrize("breadth", ["0", "1", "2"])
def test_more_branches_than_breadth_is_a_440_and_rings_nobody(breadth: str) -> None:
    exchange, caller, phones = forked(3)
    attempt = caller.invite("0002", headers=(f"Max-Breadth: {breadth}",))
    assert attempt.statuses == [440]
    assert all(phone.requests("INVITE") == [] for phone in phones)
    assert exchange.the_record.status == 440


def test_a_max_breadth_that_is_no_number_is_a_400() -> None:
    exchange, caller, _ = forked(1)
    assert caller.invite("0002", headers=("Max-Breadth: wide",)).statuses == [400]
    assert exchange.the_record.status == 400


def test_of_two_flows_of_one_phone_the_newest_rings_and_of_two_phones_both() -> None:
    """RFC 5626 §6: never more than one flow of an instance at a time."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    phones = []
    for reg_id, instance in ((1, "a"), (2, "a"), (1, "b")):
        phone = exchange.phone("0002", transport=Transport.TCP, register=False)
        contact = f'<{phone.contact}>;reg-id={reg_id};+sip.instance="<urn:x:{instance}>"'
        assert phone.register(contacts=(contact,), headers=("Supported: outbound",)).status == 200
        phones.append(phone)
        exchange.advance(1)
    caller.invite("0002")
    assert [len(phone.requests("INVITE")) for phone in phones] == [0, 1, 1]


def test_when_the_newest_flow_is_gone_the_other_flow_of_the_phone_rings() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    phones = []
    for reg_id in (1, 2):
        phone = exchange.phone("0002", transport=Transport.TCP, register=False)
        contact = f'<{phone.contact}>;reg-id={reg_id};+sip.instance="<urn:x:a>"'
        phone.register(contacts=(contact,), headers=("Supported: outbound",))
        phones.append(phone)
        exchange.advance(1)
    exchange.engine.flow_closed(phones[1].flow, exchange.now)
    caller.invite("0002")
    assert [len(phone.requests("INVITE")) for phone in phones] == [1, 0]


def test_a_sips_uri_reaches_phones_with_tls_only() -> None:
    """§26.2.2."""
    exchange = Exchange()
    caller = exchange.phone("0001", transport=Transport.TLS)
    plain = exchange.phone("0002")
    assert caller.invite("0002", uri=f"sips:0002@{DOMAIN}").statuses == [480]
    secure = exchange.phone("0002", transport=Transport.TLS)
    caller.invite("0002", uri=f"sips:0002@{DOMAIN}")
    assert len(secure.requests("INVITE")) == 1
    assert plain.requests("INVITE") == []


def test_headers_in_a_registered_contact_never_become_part_of_a_request() -> None:
    """§16.6 step 2, §19.1.1; RFC 4475 §3.3.14."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    phone = exchange.phone("0002", register=False)
    phone.register(contacts=(f"<sip:0002@{phone.address[0]}:5060;x=1?Route=%3Csip:evil.example.com%3E>",))
    caller.invite("0002")
    invite = phone.request("INVITE")
    assert invite.uri == f"sip:0002@{phone.address[0]}:5060;x=1"
    assert "route" not in invite.keys


@pytest.mark.parametrize(("privacy", "is_asserted"), [("id", False), ("header; ID", False), ("none", True)])
def test_the_identity_is_not_asserted_to_the_phone_where_the_caller_asks_so(
    privacy: str, is_asserted: bool
) -> None:
    """RFC 3325 §9.3."""
    _, caller, (phone,) = forked(1)
    caller.invite("0002", headers=(f"Privacy: {privacy}",))
    invite = phone.request("INVITE")
    assert ("p-asserted-identity" in invite.keys) == is_asserted
    assert invite.values("privacy") == [privacy]
