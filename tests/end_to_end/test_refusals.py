"""What must not work: the right answer, a text for people, one log line, nothing else disturbed."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.softphone import phone
from tests.support.subscribers import Subscriber, Subscribers
from tests.support.system import System, eventually

MakeSubscriber = Callable[..., Subscriber]


def call_in_vain(caller: Subscriber, number: str) -> tuple[int, str]:
    """The status of the refusal and what it tells the caller; the log has one line of it."""
    with caller.phone() as one:
        one.register()
        one.call(number)
        end = one.wait_for_end()
    lines = eventually(lambda: refusals_of(caller), "the log tells of the refusal")
    assert len(lines) == 1
    assert f"status={end.status}" in lines[0]
    return end.status, end.detail or end.reason


def refusals_of(caller: Subscriber) -> list[str]:
    return caller.system.said(rf"call_refused .*caller='?{caller.number}\b")


def test_a_wrong_password_can_not_register(system: System, subscriber: MakeSubscriber) -> None:
    alice = subscriber()
    with phone(alice.number, "wrong", server=system.sip_server("udp")) as intruder:
        intruder.register_in_vain()

    lines = eventually(lambda: system.said(f"wrong_password.*{alice.number}"), "the log names the number")
    assert len(lines) == 1
    numbers = [item["number"] for item in system.control("GET", "/v1/registrations").body["items"]]
    assert alice.number not in numbers


def test_an_unknown_number(subscriber: MakeSubscriber) -> None:
    alice = subscriber()

    status, text = call_in_vain(alice, "7777777")

    assert status == 404
    assert text
    [call] = alice.call_records(1)
    assert (call["outcome"], call["status"]) == ("rejected", 404)


def test_a_suspended_caller(system: System, subscribers: Subscribers) -> None:
    alice, bob = subscribers.make(), subscribers.make()
    system.billing("POST", f"/v1/phone-accounts/{alice.number}/suspend", {"reason": "test"})
    subscribers.wait_for_exchange()

    status, text = call_in_vain(alice, bob.number)

    assert status == 403
    assert "suspended" in text.lower()


def test_a_callee_without_a_phone(subscriber: MakeSubscriber) -> None:
    alice, bob = subscriber(), subscriber()

    assert call_in_vain(alice, bob.number)[0] == 480


def test_a_blocked_caller_hears_busy(subscriber: MakeSubscriber) -> None:
    alice = subscriber()
    bob = subscriber(block_list=[alice.number])

    assert call_in_vain(alice, bob.number)[0] == 486


def test_a_number_that_the_outgoing_filter_denies(subscriber: MakeSubscriber) -> None:
    alice = subscriber(outgoing_filter=[{"pattern": "9*", "action": "deny"}])

    assert call_in_vain(alice, "900123")[0] == 403


def test_a_full_exchange(system: System, subscribers: Subscribers) -> None:
    alice, bob, carol = (subscribers.make() for _ in range(3))
    with concurrent_call_limit(system, subscribers, 1), alice.phone() as first, bob.phone() as second:
        first.register()
        second.register()
        first.call(bob.number)
        second.wait_for_ring()
        second.answer()
        first.wait_until_talking()

        status, _ = call_in_vain(carol, bob.number)

        assert status == 503
        first.hang_up()
        second.wait_for_end()
        [call] = carol.call_records(1)
        assert (call["outcome"], call["status"]) == ("rejected", 503)


@contextmanager
def concurrent_call_limit(system: System, subscribers: Subscribers, limit: int) -> Iterator[None]:
    assert system.billing("PATCH", "/v1/settings", {"concurrent_call_limit": limit}).status == 200
    subscribers.wait_for_exchange()
    yield
    assert system.billing("PATCH", "/v1/settings", {"concurrent_call_limit": None}).status == 200
    subscribers.wait_for_exchange()


MALFORMED = {
    "truncated": (
        b"INVITE sip:0001@tollbell.local SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKt1\r\nFrom: <sip:"
    ),
    "binary noise": bytes(range(256)) * 4,
    "a header of 100 kB": b"OPTIONS sip:tollbell.local SIP/2.0\r\nSubject: " + b"x" * 100_000 + b"\r\n\r\n",
    "negative Content-Length": (
        b"OPTIONS sip:tollbell.local SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKn1\r\n"
        b"From: <sip:a@tollbell.local>;tag=1\r\nTo: <sip:tollbell.local>\r\nCall-ID: n1\r\n"
        b"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: -1\r\n\r\n"
    ),
}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_messages_leave_a_call_alone(
    system: System, subscriber: MakeSubscriber, name: str, transport: str
) -> None:
    data = MALFORMED[name]
    alice, bob = subscriber(), subscriber()
    with alice.phone() as from_phone, bob.phone() as to_phone:
        from_phone.register()
        to_phone.register()
        from_phone.call(bob.number)
        to_phone.wait_for_ring()
        to_phone.answer()
        from_phone.wait_until_talking()
        before = system.pid_of("proxy")

        port, send_malformed = (
            (system.ports["SIP_UDP"], send_datagram)
            if transport == "udp"
            else (system.ports["SIP_TCP"], send_stream)
        )
        source = send_malformed(port, data)

        if transport == "tcp" or len(data) < 65_000:
            [line] = eventually(
                lambda: system.said(f"malformed.*{source}"), f"one log line about {source}", timeout_s=10
            )
            assert "Traceback" not in line
        from_phone.send_tone(440)
        to_phone.hear_frequency(440)
        from_phone.hang_up()
        to_phone.wait_for_end()
    assert system.pid_of("proxy") == before
    assert alice.call_records(1)[0]["outcome"] == "answered"


def send_datagram(port: int, data: bytes) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        # A datagram holds 65,507 bytes at most: more arrive cut off.
        sender.sendto(data[:65_000], ("127.0.0.1", port))
        return f"127.0.0.1:{sender.getsockname()[1]}"


def send_stream(port: int, data: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sender:
        source = f"127.0.0.1:{sender.getsockname()[1]}"
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)
        while True:  # until the exchange has closed its side, too
            try:
                if not sender.recv(65_536):
                    return source
            except ConnectionResetError:
                return source
