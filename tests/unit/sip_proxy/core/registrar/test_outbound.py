"""Phones that name their flows (RFC 5626) and proxies that lie between (RFC 3327)."""

import pytest

from sip_proxy.core.flow import Transport
from sip_proxy.core.message.message import Response
from tests.support.sip_phones import DOMAIN, WALL_OFFSET, Exchange, Phone

INSTANCE = '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
OTHER_INSTANCE = '"<urn:uuid:00000000-0000-1000-8000-000000000001>"'
OUTBOUND = ("Supported: path, outbound",)
EDGE_VIA = ("Via: SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKinner",)


def register(
    phone: Phone,
    *,
    reg_id: str = "1",
    instance: str = INSTANCE,
    expires: int = 600,
    headers: tuple[str, ...] = OUTBOUND,
    **changes: object,
) -> Response:
    contact = f"<{phone.contact}>;reg-id={reg_id};+sip.instance={instance};expires={expires}"
    return phone.register(contacts=(contact,), headers=headers, **changes)  # type: ignore[arg-type]


def contacts(exchange: Exchange) -> list[str]:
    return [each.contact for each in exchange.engine.registrations()]


def connected(exchange: Exchange, number: str = "0002") -> Phone:
    """A phone with a connection of its own."""
    return exchange.phone(number, transport=Transport.TCP, register=False)


def test_a_flow_is_confirmed_with_what_the_phone_must_know() -> None:
    exchange = Exchange()
    phone = connected(exchange)
    response = register(phone)
    assert response.status == 200
    assert response.values("require") == ["outbound"]
    assert response.first("flow-timer") == "120"
    assert response.values("contact") == [
        f"<{phone.contact}>;expires=600;reg-id=1;+sip.instance={INSTANCE}",
    ]


def test_without_the_option_tag_reg_id_means_nothing() -> None:
    """RFC 5626 §6: the registrar acts as RFC 3261 has it."""
    exchange = Exchange()
    one, other = connected(exchange), connected(exchange)
    response = register(one, headers=())
    assert "require" not in response.keys
    register(other, headers=(), call_id="another")
    assert contacts(exchange) == [one.contact, other.contact]


def test_a_phone_that_names_its_flow_no_longer_is_still_one_phone() -> None:
    exchange = Exchange()
    phone = connected(exchange)
    register(phone)
    register(phone, headers=(), call_id="another")
    assert contacts(exchange) == [phone.contact]
    assert exchange.engine.registrations()[0].expires_at == exchange.now + WALL_OFFSET + 600


def test_a_phone_that_connects_anew_replaces_its_flow_whatever_its_contact_and_call_id() -> None:
    exchange = Exchange()
    old, new = connected(exchange), connected(exchange)
    register(old)
    register(new, call_id="after-a-reboot")
    assert contacts(exchange) == [new.contact]
    exchange.phone("0001").invite("0002")
    assert len(new.requests("INVITE")) == 1
    assert old.requests("INVITE") == []


def test_a_registration_without_a_flow_gives_way_to_one_with_it() -> None:
    exchange = Exchange()
    phone = connected(exchange)
    phone.register()
    register(phone, call_id="again")
    assert contacts(exchange) == [phone.contact]


def test_two_flows_of_a_phone_and_another_phone_are_three_bindings() -> None:
    exchange = Exchange()
    phones = [connected(exchange) for _ in range(3)]
    register(phones[0], reg_id="1")
    register(phones[1], reg_id="2")
    register(phones[2], reg_id="1", instance=OTHER_INSTANCE)
    assert contacts(exchange) == [phone.contact for phone in phones]


def test_expires_0_removes_that_flow_only() -> None:
    exchange = Exchange()
    one, other = connected(exchange), connected(exchange)
    register(one, reg_id="1")
    register(other, reg_id="2")
    register(one, reg_id="1", expires=0)
    assert contacts(exchange) == [other.contact]


def test_a_register_of_a_flow_that_was_overtaken_changes_nothing() -> None:
    exchange = Exchange()
    phone = connected(exchange)
    register(phone, cseq=10, call_id="c")
    assert register(phone, cseq=5, call_id="c", expires=0).status == 500
    assert contacts(exchange) == [phone.contact]


def test_a_flow_that_is_closed_is_unregistered_even_if_its_contact_could_be_connected_to() -> None:
    """RFC 5626 §5.3: the phone itself opens another."""
    exchange = Exchange()
    phone = connected(exchange)
    register(phone)
    exchange.engine.flow_closed(phone.flow, exchange.now)
    assert contacts(exchange) == []


def test_flows_outlive_a_restart_and_are_still_replaced() -> None:
    exchange = Exchange()
    old, new = connected(exchange), connected(exchange)
    register(old)
    exchange.restart()
    assert contacts(exchange) == [old.contact]
    register(new, call_id="another")
    assert contacts(exchange) == [new.contact]


@pytest.mark.parametrize("reg_id", ["0", "-1", "x", "99999999999", "2147483648"])
def test_a_malformed_reg_id_is_a_400(reg_id: str) -> None:
    exchange = Exchange()
    assert register(connected(exchange), reg_id=reg_id).status == 400
    assert contacts(exchange) == []


def test_a_reg_id_beside_another_contact_is_a_400() -> None:
    exchange = Exchange()
    phone = connected(exchange)
    both = (f"<{phone.contact}>;reg-id=1;+sip.instance={INSTANCE}", "<sip:0002@203.0.113.5>")
    assert phone.register(contacts=both, headers=OUTBOUND).status == 400
    assert contacts(exchange) == []


def test_a_proxy_between_that_keeps_no_flow_is_a_439() -> None:
    """RFC 5626 §6: the phone then registers without outbound."""
    exchange = Exchange()
    phone = connected(exchange)
    assert register(phone, headers=(*OUTBOUND, *EDGE_VIA)).status == 439
    path = "Path: <sip:edge.example.com;lr>"
    assert register(phone, headers=(*OUTBOUND, *EDGE_VIA, path)).status == 439
    path = "Path: <sip:inner.example.com;lr>, <sip:flow@edge.example.com;lr;ob>"
    assert register(phone, headers=(*OUTBOUND, *EDGE_VIA, path)).status == 200


def test_the_path_is_told_back_and_kept_over_a_restart() -> None:
    """RFC 3327 §5.3."""
    exchange = Exchange()
    phone = exchange.phone("0002", register=False)
    path = "<sip:inner.example.com;lr>, <sip:edge.example.com;lr>"
    response = phone.register(headers=(f"Path: {path}", "Supported: path"))
    assert response.values("path") == ["<sip:inner.example.com;lr>", "<sip:edge.example.com;lr>"]
    exchange.restart()
    exchange.phone("0001").invite("0002")
    assert phone.request("INVITE").values("route") == response.values("path")


def test_a_request_takes_the_path_to_the_phone_over_the_flow_of_its_register() -> None:
    """RFC 3327 §5.3: as a route that was set beforehand, so the proxies between us see it."""
    exchange = Exchange()
    phone = exchange.phone(
        "0002", headers=("Path: <sip:edge.example.com;lr>",), contacts=("<sip:0002@10.9.9.9:5070>",)
    )
    exchange.phone("0001").invite("0002")
    invite = phone.request("INVITE")
    assert invite.uri == "sip:0002@10.9.9.9:5070"
    assert invite.values("route") == ["<sip:edge.example.com;lr>"]
    assert exchange.undelivered == []


@pytest.mark.parametrize(
    "path",
    [
        "Path: nonsense",
        "Path: <http://edge.example.com>",
        "Path: " + ", ".join(f"<sip:p{n}.example.com;lr>" for n in range(9)),
        f"Path: <sip:{'x' * 1100};lr>",
    ],
)
def test_a_path_that_is_no_use_is_refused(path: str) -> None:
    exchange = Exchange()
    phone = exchange.phone("0002", register=False)
    assert phone.register(headers=(path,)).status == 400
    assert contacts(exchange) == []


def test_a_contact_of_a_thousand_characters_is_enough() -> None:
    exchange = Exchange()
    phone = exchange.phone("0002", register=False)
    assert phone.register(contacts=(f"<sip:0002@203.0.113.5;x={'x' * 1100}>",)).status == 400


def test_options_says_what_is_supported_and_refuses_to_require_more() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    ask = {"to": f"<sip:{DOMAIN}>", "call_id": "o", "from_tag": "1", "cseq": 1}
    phone.send(phone.build("OPTIONS", f"sip:{DOMAIN}", **ask))  # type: ignore[arg-type]
    assert phone.responses("OPTIONS")[-1].values("supported") == ["outbound", "path"]
    phone.send(phone.build("OPTIONS", f"sip:{DOMAIN}", headers=("Require: path, magic",), **ask))  # type: ignore[arg-type]
    refused = phone.responses("OPTIONS")[-1]
    assert (refused.status, refused.values("unsupported")) == (420, ["magic"])
    phone.send(phone.build("OPTIONS", f"sip:{DOMAIN}", headers=("Proxy-Require: path",), **ask))  # type: ignore[arg-type]
    refused = phone.responses("OPTIONS")[-1]
    assert (refused.status, refused.values("unsupported")) == (420, ["path"])
