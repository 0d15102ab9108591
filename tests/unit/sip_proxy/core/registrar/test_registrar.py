"""REGISTER and the location table (RFC 3261 §10.3)."""

import pytest

from sip_proxy.core.directory import AccountState
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.outputs import BindingsChanged, SecurityEventKind
from tests.support.sip_phones import DOMAIN, WALL_OFFSET, Exchange, Phone, account, make_directory


def contacts_of(exchange: Exchange, number: str) -> list[str]:
    return [each.contact for each in exchange.engine.registrations() if each.number == number]


def test_a_register_is_challenged_with_401_and_binds_when_authenticated() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    assert phone.statuses("REGISTER") == [401, 200]
    (registration,) = exchange.engine.registrations()
    assert registration.number == "0001"
    assert registration.contact == phone.contact
    assert registration.transport == "UDP"
    assert registration.source == f"{phone.address[0]}:5060"
    assert registration.registered_at == exchange.now + WALL_OFFSET
    assert registration.expires_at == exchange.now + WALL_OFFSET + 3600


def test_the_200_lists_every_contact_with_the_time_that_is_left() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    other = "<sip:0001@203.0.113.5;transport=tcp>;expires=600;q=0.5"
    exchange.advance(100)
    response = phone.register(contacts=(other,))
    assert response.values("contact") == [
        f"<{phone.contact}>;expires=3500",
        "<sip:0001@203.0.113.5;transport=tcp>;expires=600;q=0.5",
    ]


def test_a_register_without_contacts_only_asks() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    exchange.outputs.clear()
    response = phone.register(contacts=())
    assert response.values("contact") == [f"<{phone.contact}>;expires=3600"]
    assert not any(isinstance(output, BindingsChanged) for output in exchange.outputs)


@pytest.mark.parametrize(
    ("contact", "header", "granted"),
    [
        ("", (), 3600),
        (";expires=600", (), 600),
        ("", ("Expires: 700",), 700),
        (";expires=600", ("Expires: 700",), 600),
        (";expires=999999", (), 7200),
        (";expires=99999999999999", (), 7200),
        (";expires=soon", (), 3600),
        ("", ("Expires: -1",), 3600),
        ("", (f"Expires: {5000 * '9'}",), 3600),
    ],
)
def test_the_expiry_is_the_contacts_then_the_headers_then_ours_within_limits(
    contact: str, header: tuple[str, ...], granted: int
) -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    response = phone.register(contacts=(f"<{phone.contact}>{contact}",), headers=header)
    assert response.values("contact") == [f"<{phone.contact}>;expires={granted}"]


def test_too_brief_an_interval_is_refused_with_the_least_allowed() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    response = phone.register(headers=("Expires: 59",))
    assert response.status == 423
    assert response.first("min-expires") == "60"
    assert exchange.engine.registrations() == []


def test_expires_0_removes_that_contact_only() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    phone.register(contacts=("<sip:0001@203.0.113.5>",))
    phone.register(contacts=(f"<{phone.contact}>;expires=0",))
    assert contacts_of(exchange, "0001") == ["sip:0001@203.0.113.5"]


def test_star_with_expires_0_removes_all() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    phone.register(contacts=("<sip:0001@203.0.113.5>",))
    response = phone.register(contacts=("*",), headers=("Expires: 0",))
    assert response.status == 200
    assert response.values("contact") == []
    assert contacts_of(exchange, "0001") == []


@pytest.mark.parametrize(
    ("contacts", "headers"),
    [(("*",), ()), (("*",), ("Expires: 60",)), (("*", "<sip:0001@203.0.113.5>"), ("Expires: 0",))],
)
def test_star_in_any_other_way_is_refused_and_changes_nothing(
    contacts: tuple[str, ...], headers: tuple[str, ...]
) -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    assert phone.register(contacts=contacts, headers=headers).status == 400
    assert contacts_of(exchange, "0001") == [phone.contact]


def test_a_refresh_of_an_equal_contact_replaces_it() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    phone.register(contacts=(f"<{phone.contact.replace('0001', '%300%301')}>;expires=120",))
    (registration,) = exchange.engine.registrations()
    assert registration.expires_at == exchange.now + WALL_OFFSET + 120


def test_a_register_overtaken_by_a_later_one_changes_nothing() -> None:
    """§10.3 step 7: the same Call-ID and a CSeq that is not higher."""
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    phone.register(call_id="same", cseq=10)
    response = phone.register(call_id="same", cseq=5, contacts=(f"<{phone.contact}>;expires=0",))
    assert response.status == 500
    assert contacts_of(exchange, "0001") == [phone.contact]


def test_of_two_equal_contacts_in_one_request_the_second_is_in_force() -> None:
    """§19.1.4: parameters that mean nothing make no difference."""
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    response = phone.register(contacts=(f"<{phone.contact}>", f"<{phone.contact};x=2>;expires=120"))
    assert response.status == 200
    assert contacts_of(exchange, "0001") == [f"{phone.contact};x=2"]


def test_all_contacts_are_taken_or_none() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    response = phone.register(contacts=("<sip:0001@203.0.113.5>", "<sip:0001@203.0.113.6>;expires=5"))
    assert response.status == 423
    assert contacts_of(exchange, "0001") == [phone.contact]


@pytest.mark.parametrize(
    ("contact", "status"),
    [
        ("<sip:0001@203.0.113.5", 400),
        ("<tel:0001>", 400),
        ("<mailto:a@b>", 416),
        ("<sip:0001@203.0.113.5>;q=2", 400),
        ("<sip:0002@192.0.2.1:5060>", 403),
    ],
)
def test_contacts_that_are_no_use_are_refused(contact: str, status: int) -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    assert phone.register(contacts=(contact,)).status == status
    assert exchange.engine.registrations() == []


def test_one_number_has_only_so_many_contacts() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    contacts = tuple(f"<sip:0001@203.0.113.{host}>" for host in range(1, 12))
    assert phone.register(contacts=contacts).status == 403
    assert phone.register(contacts=contacts[:10]).status == 200


def test_bindings_vanish_when_their_time_is_over() -> None:
    exchange = Exchange()
    exchange.phone("0001", headers=("Expires: 100",))
    exchange.advance(99.9)
    assert contacts_of(exchange, "0001")
    exchange.outputs.clear()
    exchange.advance(0.1)
    assert contacts_of(exchange, "0001") == []
    (changed,) = [output for output in exchange.outputs if isinstance(output, BindingsChanged)]
    assert (changed.number, changed.registrations) == ("0001", ())


def test_a_refreshed_binding_lives_on_past_its_first_expiry() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", headers=("Expires: 100",))
    exchange.advance(60)
    phone.register(headers=("Expires: 100",))
    exchange.advance(60)
    assert contacts_of(exchange, "0001") == [phone.contact]


def test_the_bindings_of_a_connection_vanish_with_it() -> None:
    """RFC 5626 §5.3."""
    exchange = Exchange()
    tcp = exchange.phone("0001", transport=Transport.TCP, private="10.0.0.7:5060")
    udp = exchange.phone("0001")
    close(exchange, tcp)
    assert contacts_of(exchange, "0001") == [udp.contact]


def test_a_binding_that_can_be_connected_to_outlives_its_connection() -> None:
    """RFC 3261 §18.1.1: a phone that is not behind NAT may register and close the connection."""
    exchange = Exchange()
    caller = exchange.phone("0002")
    tcp = exchange.phone("0001", transport=Transport.TCP)
    close(exchange, tcp)
    assert contacts_of(exchange, "0001") == [tcp.contact]
    caller.invite("0001")
    assert exchange.sends_to(tcp)[-1].to == Destination(Transport.TCP, *tcp.address)


def test_a_phone_that_connects_anew_leaves_no_stale_contact_behind() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", transport=Transport.TCP)
    for port in range(40_000, 40_030):
        close(exchange, phone)
        phone.flow = Flow(Transport.TCP, (phone.address[0], port), phone.flow.local, port)
        exchange.phones[(Transport.TCP, phone.address[0], port)] = phone
        contact = f"sip:0001@{phone.address[0]}:{port};transport=tcp"
        assert phone.register(contacts=(f"<{contact}>",)).status == 200
        assert contacts_of(exchange, "0001") == [contact]


def test_contacts_on_lost_connections_make_room_for_new_ones() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", transport=Transport.TCP, register=False)
    contacts = tuple(f"<sip:0001@203.0.113.{host}>" for host in range(1, 11))
    phone.register(contacts=contacts, call_id="old")
    close(exchange, phone)
    assert len(contacts_of(exchange, "0001")) == 10
    newcomer = exchange.phone("0001")
    assert contacts_of(exchange, "0001") == [newcomer.contact]


def close(exchange: Exchange, phone: Phone) -> None:
    """The connection of a phone is gone."""
    exchange.engine.flow_closed(phone.flow, exchange.now)
    exchange.deliver()


def test_a_register_for_another_number_is_forbidden_and_reported() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    assert phone.register(to=f"<sip:0002@{DOMAIN}>").status == 403
    assert [event.kind for event in exchange.security_events] == [SecurityEventKind.FORBIDDEN_IDENTITY]
    assert exchange.engine.registrations() == []


def test_a_register_for_a_foreign_domain_is_refused_before_any_challenge() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    assert phone.register(uri="sip:example.com").status == 403
    assert phone.statuses() == [403]
    assert phone.register(to="<sip:0001@example.com>").status == 404


def test_a_wrong_password_is_challenged_again_and_reported_without_the_secret() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    assert phone.register(password="wrong").status == 401
    (event,) = exchange.security_events
    assert event.kind is SecurityEventKind.WRONG_PASSWORD
    assert event.number == "0001"
    assert "wrong" not in event.detail.replace("wrong password", "")
    assert exchange.engine.registrations() == []


def test_an_unknown_number_is_answered_like_a_wrong_password() -> None:
    exchange = Exchange()
    phone = exchange.phone("7777", register=False)
    assert phone.register().status == 401
    assert exchange.security_events[0].kind is SecurityEventKind.WRONG_PASSWORD


@pytest.mark.parametrize(
    ("state", "status"),
    [(AccountState.SUSPENDED, 200), (AccountState.OUT_OF_SERVICE, 200), (AccountState.CLOSED, 403)],
)
def test_suspended_phones_still_register_closed_ones_do_not(state: AccountState, status: int) -> None:
    exchange = Exchange(make_directory(account("0001", state=state)))
    assert exchange.phone("0001", register=False).register().status == status


def test_a_required_extension_that_is_unknown_is_refused() -> None:
    """§8.2.2.3."""
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    response = phone.register(headers=("Require: nothingSupportsThis, path, gruu",))
    assert response.status == 420
    assert response.values("unsupported") == ["nothingSupportsThis", "gruu"]


def test_a_retransmitted_register_gets_the_same_answer_and_is_no_replay() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    phone.inbox.clear()
    phone.send(phone.sent[-1])
    assert phone.statuses() == [200]
    assert exchange.security_events == []


def test_the_same_credentials_in_another_request_are_a_replay() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    phone.inbox.clear()
    phone.send(phone.sent[-1].replace(b"branch=", b"branch=z9hG4bKother"))
    assert phone.statuses() == [401]
    assert "stale=true" in (phone.responses()[0].first("www-authenticate") or "")
    assert [event.kind for event in exchange.security_events] == [SecurityEventKind.REPLAYED_NONCE]


def test_bindings_come_back_after_a_restart_unless_they_expired_meanwhile() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", headers=("Expires: 100",))
    exchange.phone("0002", headers=("Expires: 200",))
    exchange.now += 150
    exchange.restart()
    assert contacts_of(exchange, "0001") == []
    assert len(contacts_of(exchange, "0002")) == 1
    assert phone.number == "0001"
    exchange.advance(60)
    assert contacts_of(exchange, "0002") == []


def test_the_answer_tells_the_phone_what_time_it_is() -> None:
    """§10.3 step 8, §20.17."""
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    exchange.engine.wall_offset = 1_262_361_600.0 - exchange.now
    assert phone.register().first("date") == "Fri, 01 Jan 2010 16:00:00 GMT"


def waits_for_journal(exchange: Exchange, phone: Phone) -> bool:
    """Whether the last answer to a phone may leave only when the facts before it are on disk."""
    return exchange.sends_to(phone)[-1].after_journal


def test_a_phone_hears_that_it_is_registered_when_that_is_on_disk() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    assert waits_for_journal(exchange, phone)
    exchange.advance(60)
    phone.register(contacts=(f"<{phone.contact}>;expires=0",))
    assert waits_for_journal(exchange, phone)


@pytest.mark.parametrize("contact", ["", ";q=0.7"])
def test_a_refresh_is_answered_at_once_unless_it_brings_something_new(contact: str) -> None:
    exchange = Exchange()
    phone = exchange.phone("0001", register=False)
    value = f"<{phone.contact}>{contact}"
    phone.register(contacts=(value,))
    exchange.advance(60)
    phone.register(contacts=(value,))
    assert not waits_for_journal(exchange, phone)
    assert any(isinstance(output, BindingsChanged) for output in exchange.outputs)
    phone.register(contacts=(value, "<sip:0001@203.0.113.5>"))
    assert waits_for_journal(exchange, phone)
    phone.register(contacts=(value,), headers=("Expires: 90",))
    assert waits_for_journal(exchange, phone)


def test_phones_register_while_the_journal_can_not_be_written() -> None:
    exchange = Exchange()
    exchange.engine.journal_available = False
    assert not waits_for_journal(exchange, exchange.phone("0001"))


def test_bindings_taken_up_with_a_clock_that_is_not_set_do_not_outlive_what_a_phone_may_ask_for() -> None:
    exchange = Exchange()
    exchange.phone("0001")
    (saved,) = [output for output in exchange.outputs if isinstance(output, BindingsChanged)]
    engine = exchange.make_engine()
    engine.wall_offset = 0.0  # 1970
    engine.restore_bindings("0001", saved.state, 10.0)
    (binding,) = engine.registrations()
    assert binding.expires_at == pytest.approx(10.0 + engine.config.maximum_expiry_s)
