"""Text messages between phones (RFC 3428): delivered, or refused when nobody is there."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.baresip import baresip
from tests.support.socket_phone import SocketPhone, phone
from tests.support.subscribers import Subscriber
from tests.support.system import System

MakeSubscriber = Callable[..., Subscriber]
TEXT = "Dinner is ready"


def send_message(sender: SocketPhone, to: str) -> int:
    """Send a text; return the status that comes back."""
    uri = f"sip:{to}@{sender.domain}"
    call_id = f"message-{sender.number}-{to}"
    plain = "Content-Type: text/plain"
    sender.send(sender.request("MESSAGE", uri, call_id=call_id, headers=(plain,), body=TEXT))
    credentials = sender.credentials(sender.receive_final(), "MESSAGE", uri)
    sender.send(
        sender.request("MESSAGE", uri, call_id=call_id, cseq=2, headers=(plain, credentials), body=TEXT)
    )
    return sender.receive_final().status


def test_a_message_arrives_as_it_was_written_and_costs_nothing(
    system: System, subscriber: MakeSubscriber
) -> None:
    alice, bob = subscriber(), subscriber()
    server = ("127.0.0.1", system.ports["SIP_UDP"])
    with (
        phone(alice.number, alice.password, server) as sender,
        phone(bob.number, bob.password, server) as receiver,
        ThreadPoolExecutor(1) as meanwhile,
    ):
        assert receiver.register().status == 200
        status = meanwhile.submit(send_message, sender, bob.number)
        message = receiver.expect_request("MESSAGE")
        receiver.respond(message, 200, "OK")

        assert status.result() == 200
    assert message.text.endswith(f"\r\n\r\n{TEXT}")
    assert f"<sip:{alice.number}@" in message.header("P-Asserted-Identity")
    assert alice.calls() == []
    assert alice.open_bill()["call_total"] == "0.00"


def test_a_phone_of_another_make_takes_messages(
    system: System, subscriber: MakeSubscriber, tmp_path: Path
) -> None:
    alice, bob = subscriber(), subscriber()
    server = ("127.0.0.1", system.ports["SIP_UDP"])
    with (
        phone(alice.number, alice.password, server) as sender,
        baresip(
            tmp_path / "receiver", number=bob.number, password=bob.password, server=server, transport="udp"
        ) as receiver,
    ):
        receiver.wait_until_registered()
        assert send_message(sender, bob.number) == 200
        receiver.wait_until_said("created device")  # it plays its bell for messages


def test_a_message_to_a_phone_that_is_not_there_is_refused(
    system: System, subscriber: MakeSubscriber
) -> None:
    alice, bob = subscriber(), subscriber()
    with phone(alice.number, alice.password, ("127.0.0.1", system.ports["SIP_UDP"])) as sender:
        assert send_message(sender, bob.number) == 480
