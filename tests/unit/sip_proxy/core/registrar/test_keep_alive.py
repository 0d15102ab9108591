"""Phones behind NAT are kept in reach."""

import pytest

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import Send
from sip_proxy.core.registrar.nat_flows import SLOTS, NatFlows
from sip_proxy.core.transaction.layer import TransactionLayer
from tests.support.sip_phones import EXCHANGE, Exchange, Phone


def kept_alive(seconds: float, *phones: Phone, exchange: Exchange) -> list[int]:
    """Let time pass; return how many keep-alives each of the phones got."""
    exchange.phones.clear()
    exchange.outputs.clear()
    exchange.advance(seconds)
    sends = [each for each in exchange.outputs if isinstance(each, Send) and each.data == b"\r\n\r\n"]
    return [sum(send.to == phone.flow for send in sends) for phone in phones]


def test_only_phones_on_udp_behind_nat_get_keep_alives() -> None:
    exchange = Exchange(config_changes={"nat_keep_alive_s": 25.0})
    behind_nat = exchange.phone("0001", private="10.0.0.5:5060")
    direct = exchange.phone("0002")
    connected = exchange.phone("0003", transport=Transport.TCP, private="10.0.0.6:5060")
    assert kept_alive(100, behind_nat, direct, connected, exchange=exchange) == [4, 0, 0]


def test_nobody_gets_any_where_the_setting_is_off() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", private="10.0.0.5:5060")
    assert kept_alive(100, phone, exchange=exchange) == [0]


@pytest.mark.interpreted
def test_one_that_can_not_be_sent_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the network is away thousands a second can't: no transaction is to be looked for."""
    looked_for: list[bytes] = []
    monkeypatch.setattr(TransactionLayer, "send_failed", lambda self, data, to, now: looked_for.append(data))
    exchange = Exchange(config_changes={"nat_keep_alive_s": 25.0})
    phone = exchange.phone("0001", private="10.0.0.5:5060")
    assert kept_alive(25, phone, exchange=exchange) == [1]
    exchange.unable_to_send(phone)
    assert looked_for == []


def test_they_end_with_the_binding() -> None:
    exchange = Exchange(config_changes={"nat_keep_alive_s": 25.0})
    phone = exchange.phone("0001", private="10.0.0.5:5060")
    phone.register(contacts=("*",), headers=("Expires: 0",))
    assert kept_alive(100, phone, exchange=exchange) == [0]
    assert exchange.engine._exchange.timers.next_deadline() is None


def test_a_binding_that_expires_ends_them_too() -> None:
    exchange = Exchange(config_changes={"nat_keep_alive_s": 25.0})
    phone = exchange.phone("0001", private="10.0.0.5:5060", headers=("Expires: 60",))
    (count,) = kept_alive(300, phone, exchange=exchange)
    assert count in {2, 3}  # in 60 s, from anywhere in the first 25 s on


def test_two_numbers_on_one_flow_need_only_one() -> None:
    exchange = Exchange(config_changes={"nat_keep_alive_s": 25.0})
    phone = exchange.phone("0001", private="10.0.0.5:5060")
    phone.number = "0002"
    assert phone.register().status == 200
    assert kept_alive(25, phone, exchange=exchange) == [1]


def test_they_go_on_after_a_restart() -> None:
    exchange = Exchange(config_changes={"nat_keep_alive_s": 25.0})
    phone = exchange.phone("0001", private="10.0.0.5:5060")
    exchange.restart()
    assert kept_alive(50, phone, exchange=exchange) == [2]


def test_every_flow_has_its_turn_once_in_a_round() -> None:
    flows = {Flow(Transport.UDP, ("203.0.113.7", port), EXCHANGE) for port in range(1000)}
    kept = NatFlows()
    for flow in flows:
        kept.add(flow)
    turns = [kept.next_turn() for _ in range(SLOTS)]
    assert sorted(flow.remote for turn in turns for flow in turn) == sorted(flow.remote for flow in flows)
    assert max(map(len, turns)) < 150
    for flow in flows:
        kept.discard(flow)
    assert not kept
