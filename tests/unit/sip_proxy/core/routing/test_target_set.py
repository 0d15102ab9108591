"""Where requests go, and how far they may be forked (RFC 3261 §16.5, §16.6, RFC 5393, RFC 5626 §6)."""

import gc

import pytest

from sip_proxy.core.flow import Transport
from tests.support.sip_phones import DOMAIN, Exchange, Phone, account, make_directory


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
    (invite,) = secure.requests("INVITE")
    assert plain.requests("INVITE") == []
    assert invite.values("record-route") == ["<sips:192.0.2.1:5060;lr>"]  # §16.6 step 4


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


def two_flows() -> tuple[Exchange, Phone, Phone, Phone]:
    """A caller, and the older and the newer flow of one phone."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    flows = []
    for reg_id in (1, 2):
        phone = exchange.phone("0002", transport=Transport.TCP, register=False)
        contact = f'<{phone.contact}>;reg-id={reg_id};+sip.instance="<urn:x:a>"'
        phone.register(contacts=(contact,), headers=("Supported: outbound",))
        flows.append(phone)
        exchange.advance(1)
    return exchange, caller, flows[0], flows[1]


def test_when_a_flow_fails_the_next_one_of_the_phone_is_tried() -> None:
    """RFC 5626 §6: after a 430, and after what counts as one."""
    exchange, caller, older, newer = two_flows()
    attempt = caller.invite("0002")
    newer.answer(newer.request("INVITE"), 430)
    assert len(older.requests("INVITE")) == 1
    assert attempt.is_on_its_way
    older.answer(older.request("INVITE"), 200)
    assert attempt.statuses == [200]
    attempt.ack()
    assert len(older.requests("ACK")) == 1
    attempt.bye()
    older.answer(older.request("BYE"), 200)
    exchange.advance(100)
    assert len(exchange.records) == 1
    assert len(exchange.engine._exchange.layer) == 0


def test_a_flow_that_breaks_while_the_call_waits_is_replaced_by_the_other() -> None:
    exchange, caller, older, newer = two_flows()
    attempt = caller.invite("0002")
    exchange.engine.flow_closed(newer.flow, exchange.now)
    exchange.deliver()
    older.answer(older.request("INVITE"), 486)
    assert attempt.statuses == [486]
    assert exchange.the_record.status == 486


def test_when_all_flows_fail_the_caller_hears_it_once_and_never_as_a_430() -> None:
    """RFC 5626 §11.5."""
    exchange, caller, older, newer = two_flows()
    attempt = caller.invite("0002")
    for phone in (newer, older):
        phone.answer(phone.request("INVITE"), 430)
    assert attempt.statuses == [480]
    assert len(exchange.records) == 1


def test_a_phone_that_refuses_is_not_asked_again_on_its_other_flow() -> None:
    exchange, caller, older, newer = two_flows()
    attempt = caller.invite("0002")
    newer.answer(newer.request("INVITE"), 486)
    assert attempt.statuses == [486]
    assert older.requests("INVITE") == []
    assert len(exchange.records) == 1


def test_a_cancelled_call_is_not_tried_on_another_flow() -> None:
    exchange, caller, older, newer = two_flows()
    attempt = caller.invite("0002")
    newer.answer(newer.request("INVITE"), 180)
    attempt.cancel()
    newer.answer(newer.request("INVITE"), 430)
    assert older.requests("INVITE") == []
    assert attempt.statuses[-1] >= 400
    assert len(exchange.records) == 1


def test_a_flow_that_failed_leaves_nothing_for_the_garbage_collector() -> None:
    exchange, caller, older, newer = two_flows()

    def failing_call() -> None:
        attempt = caller.invite("0002")
        newer.answer(newer.request("INVITE"), 430)
        older.answer(older.request("INVITE"), 486)
        refused = attempt.last_response
        assert refused is not None
        caller.send(attempt.ack_of(refused))
        exchange.advance(300)
        for phone in (caller, older, newer):
            phone.inbox.clear()
            phone.sent.clear()
        exchange.outputs.clear()

    failing_call()
    gc.collect()
    gc.disable()
    try:
        failing_call()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_call_to_a_sips_uri_finds_its_way_back_through_the_exchange() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001", transport=Transport.TLS)
    callee = exchange.phone("0002", transport=Transport.TLS)
    attempt = caller.invite("0002", uri=f"sips:0002@{DOMAIN}")
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    attempt.bye()
    for method in ("ACK", "BYE"):
        assert callee.request(method).uri == callee.contact
        assert "route" not in callee.request(method).keys


def test_a_contact_at_another_numbers_phone_is_not_believed() -> None:
    """Else a call to oneself would ring there: for the price of one, and past that phone's block list."""
    exchange = Exchange(make_directory(account("0001"), account("0002", block_list=frozenset({"0001"}))))
    victim = exchange.phone("0002")
    caller = exchange.phone("0001", contacts=(f"<{victim.contact}>",))
    caller.invite("0001")
    assert victim.requests("INVITE") == []
    assert caller.request("INVITE").uri == victim.contact


def test_nor_is_one_at_a_phone_behind_the_same_nat() -> None:
    exchange = Exchange()
    victim = exchange.phone("0002", private="10.0.0.7:5060")
    caller = Phone(exchange, "0001")
    caller.address = (victim.address[0], 40001)
    caller.sent_by = f"{victim.address[0]}:40001"
    caller.flow = caller.flow._replace(remote=caller.address)
    exchange.phones[caller.key] = caller
    caller.register(contacts=(f"<sip:0002@{victim.address[0]}:{victim.address[1]}>",))
    caller.invite("0001")
    assert victim.requests("INVITE") == []
    assert len(caller.requests("INVITE")) == 1


def test_one_at_a_phone_of_ones_own_is() -> None:
    exchange = Exchange()
    other = exchange.phone("0002", private="10.0.0.7:5060")
    place = f"sip:x@{other.address[0]}:{other.address[1]}"
    exchange.phone("0002", contacts=(f"<{place}>",))
    caller = exchange.phone("0001")
    caller.invite("0002")
    assert place in [each.uri for each in other.requests("INVITE")]
