"""The location table: what expires, and what belongs to a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.registrar.binding import Binding, destination_of, load_bindings, save_bindings
from sip_proxy.core.registrar.location import LocationTable

LOCAL = ("192.0.2.1", 5060)
UDP = Flow(Transport.UDP, ("198.51.100.1", 5060), LOCAL)
TCP = Flow(Transport.TCP, ("198.51.100.1", 40_000), LOCAL, 3)


def binding(contact: str = "sip:a@198.51.100.1", *, expires_at: float = 100.0, flow: Flow = UDP) -> Binding:
    return Binding(
        contact=contact,
        flow=flow,
        is_direct=True,
        call_id="c",
        cseq=1,
        q=1000,
        registered_at=5.0,
        expires_at=expires_at,
        user_agent="Phone/1",
    )


def test_an_expired_binding_is_out_of_sight_before_it_is_cleared_away() -> None:
    table = LocationTable()
    table.replace("0001", (binding(expires_at=10.0), binding("sip:b@h", expires_at=20.0)))
    assert [each.contact for each in table.find("0001", 10.0)] == ["sip:b@h"]
    assert table.expire(10.0) == ["0001"]
    assert table.expire(10.0) == []


def test_the_deadline_is_that_of_the_first_binding_to_expire() -> None:
    table = LocationTable()
    assert table.next_deadline() is None
    table.replace("0001", (binding(expires_at=30.0),))
    table.replace("0002", (binding(expires_at=20.0),))
    assert table.next_deadline() == 20.0


def test_a_connection_knows_its_numbers_until_they_are_gone() -> None:
    table = LocationTable()
    table.replace("0001", (binding(flow=TCP), binding("sip:b@h")))
    table.replace("0002", (binding(flow=TCP, expires_at=10.0),))
    assert table.numbers_on(TCP) == {"0001", "0002"}
    table.expire(10.0)
    assert table.numbers_on(TCP) == {"0001"}
    table.replace("0001", ())
    assert table.numbers_on(TCP) == set()


def test_refreshing_for_ever_does_not_grow_the_list_of_expiries() -> None:
    table = LocationTable()
    for second in range(20_000):
        table.replace("0001", (binding(expires_at=1e6 + second),))
    assert len(table._expiries) < 2000
    assert table.expire(1e6 + 19_998) == []
    assert table.expire(1e6 + 19_999) == ["0001"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["1", "2", "3"]), st.lists(st.integers(1, 50), max_size=3)), max_size=30
    ),
    st.integers(0, 60),
)
def test_after_expire_exactly_the_unexpired_are_left(plan: list[tuple[str, list[int]]], now: int) -> None:
    table = LocationTable()
    expected: dict[str, list[int]] = {}
    for number, expiries in plan:
        table.replace(number, tuple(binding(f"sip:{at}@h", expires_at=float(at)) for at in expiries))
        expected[number] = expiries
    table.expire(float(now))
    left = {number: [each.expires_at for each in bindings] for number, bindings in table.items()}
    wanted = {number: [float(at) for at in ats if at > now] for number, ats in expected.items()}
    assert left == {number: ats for number, ats in wanted.items() if ats}


def test_bindings_survive_being_saved_except_that_their_connection_is_gone() -> None:
    saved = save_bindings((binding(), binding(flow=TCP)), 1000.0)
    udp, tcp = load_bindings(saved, 1000.0)
    assert udp == binding()
    assert tcp.flow != TCP
    assert tcp.flow.connection < 0


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('"sip:a@198.51.100.1"', "null"),
        ('"sip:a@198.51.100.1"', '"nothing that a phone is called by"'),
        ('"198.51.100.1"', "null"),
        ('"198.51.100.1"', '"phone.example"'),
        ("5060", '"5060"'),
        ("5060", "65536"),
        ("5060", "true"),
        ('"cseq":1', '"cseq":null'),
        ('"cseq":1', '"cseq":9999999999'),
        ('"registered_at":5', '"registered_at":Infinity'),
        ('"registered_at":5', '"registered_at":1e300'),
        ('"user_agent":"Phone/1"', '"user_agent":5'),
        ("}]", ',"path":[5]}]'),
    ],
)
def test_saved_bindings_that_somebody_has_damaged_are_not_taken_up(was: str, now: str) -> None:
    """They would fail in use, and with them the list of all bindings, or the REGISTER of their phone."""
    saved = save_bindings((binding(),), 1000.0)
    assert len(load_bindings(saved, 1000.0)) == 1
    damaged = saved.replace(was, now, 1)
    assert damaged != saved
    with pytest.raises((ValueError, OverflowError, MalformedMessage)):
        load_bindings(damaged, 1000.0)


def test_a_contact_is_a_destination_only_when_it_has_an_ip_address() -> None:
    assert destination_of("sip:a@192.0.2.7", Transport.UDP) == Destination(Transport.UDP, "192.0.2.7", 5060)
    assert destination_of("sip:a@[2001:db8::1]:7;transport=tcp", Transport.UDP) == Destination(
        Transport.TCP, "2001:db8::1", 7
    )
    assert destination_of("sip:a@phone.example", Transport.UDP) is None
    assert destination_of("nonsense", Transport.UDP) is None


def test_a_refreshed_binding_expires_at_its_new_time_and_a_shortened_one_too() -> None:
    table = LocationTable()
    table.replace("0001", (binding(expires_at=50.0),))
    table.replace("0001", (binding(expires_at=90.0),))
    assert table.expire(50.0) == []
    assert table.next_deadline() == 90.0
    table.replace("0001", (binding(expires_at=60.0),))
    assert table.next_deadline() == 60.0
    assert table.expire(60.0) == ["0001"]
    assert table.expire(90.0) == []
    assert table.next_deadline() is None
