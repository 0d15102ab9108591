"""Sockets: connections out, TLS, peers that are slow or too many."""

import asyncio
import itertools
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import FramingError
from sip_proxy.settings import ListenAddress
from sip_proxy.transport.addresses import LocalAddresses
from sip_proxy.transport.stream import StreamTransport, bind_stream
from sip_proxy.transport.stream_connection import StreamLimits
from sip_proxy.transport.udp import UdpTransport, bind_udp
from tests.support.certificates import make_certificate, tls_settings
from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import running_proxy
from tests.support.socket_phone import call, hang_up, phone

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class Handler:
    """Notes what the transports tell."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.closed: list[Flow] = []
        self.unsent: list[tuple[bytes, Flow | Destination]] = []

    def received(self, data: bytes, flow: Flow) -> bool:
        self.messages.append((data, flow))
        return True

    def framing_failed(self, error: FramingError, flow: Flow) -> None:
        raise AssertionError("nothing broken is sent here")

    def flow_closed(self, flow: Flow) -> None:
        self.closed.append(flow)

    def unable_to_send(self, data: bytes, to: Flow | Destination) -> None:
        self.unsent.append((data, to))

    def turn_ended(self) -> None:
        """Nothing is waiting here."""


@pytest.fixture
def handler() -> Handler:
    return Handler()


Make = Callable[..., StreamTransport]


@pytest.fixture
async def make(handler: Handler) -> AsyncIterator[Make]:
    made: list[StreamTransport] = []

    def make(limits: StreamLimits | None = None, tls: ssl.SSLContext | None = None) -> StreamTransport:
        transport = StreamTransport(
            bind_stream(ListenAddress("127.0.0.1", 0)),
            transport=Transport.TCP,
            handler=handler,
            next_number=itertools.count(1),
            clock=time.monotonic,
            limits=limits,
            tls=tls,
        )
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.close()
    await asyncio.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def test_opens_one_connection_to_a_destination_and_uses_it_again(handler: Handler, make: Make) -> None:
    here, there = make(), make()
    await here.start()
    await there.start()
    host, port = there.listening
    for number in range(3):
        here.send(MESSAGE.replace(b"sip:a", b"sip:%d" % number), Destination(Transport.TCP, host, port))
    await until(lambda: len(handler.messages) == 3)
    here.send(MESSAGE, Destination(Transport.TCP, host, port))
    await until(lambda: len(handler.messages) == 4)

    assert len({flow for _, flow in handler.messages}) == 1
    assert (here.connection_count, there.connection_count) == (1, 1)
    assert (here.sent_count, there.received_count) == (4, 4)


async def test_answers_go_back_on_the_flow(handler: Handler, make: Make) -> None:
    here = make()
    await here.start()
    reader, writer = await asyncio.open_connection(*here.listening)
    writer.write(MESSAGE)
    await until(lambda: handler.messages)
    here.send(b"answer", handler.messages[0][1])

    assert await reader.readexactly(6) == b"answer"
    writer.close()
    await until(lambda: handler.closed == [handler.messages[0][1]])


async def test_a_closed_flow_cannot_be_sent_to(handler: Handler, make: Make) -> None:
    here = make()
    await here.start()
    flow = Flow(Transport.TCP, ("127.0.0.1", 1), here.listening, 99)
    here.send(b"answer", flow)

    assert handler.unsent == [(b"answer", flow)]


async def test_a_destination_where_nobody_listens_is_told(handler: Handler, make: Make) -> None:
    here = make()
    await here.start()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = Destination(Transport.TCP, *closed.getsockname())
        here.send(MESSAGE, nowhere)
        here.send(b"another", nowhere)
        await until(lambda: handler.unsent == [(MESSAGE, nowhere), (b"another", nowhere)])

    assert here.unsent_count == 2


async def test_no_more_connections_than_there_is_room_for(handler: Handler, make: Make) -> None:
    here = make(StreamLimits(connections=1))
    await here.start()
    _, first = await asyncio.open_connection(*here.listening)
    await until(lambda: here.connection_count == 1)
    reader, second = await asyncio.open_connection(*here.listening)
    await until(lambda: here.admission.refused_count == 1)
    with suppress(ConnectionError):
        assert await reader.read() == b""
    first.write(MESSAGE)
    await until(lambda: handler.messages)
    for writer in (first, second):
        writer.close()


async def test_one_source_does_not_take_the_room_of_all(handler: Handler, make: Make) -> None:
    here = make(StreamLimits(connections_of_one_source=2))
    await here.start()
    writers = [(await asyncio.open_connection(*here.listening))[1] for _ in range(2)]
    await until(lambda: here.connection_count == 2)
    _, third = await asyncio.open_connection(*here.listening)
    await until(lambda: here.admission.refused_count == 1)
    _, elsewhere = await asyncio.open_connection(*here.listening, local_addr=("127.0.0.2", 0))
    await until(lambda: here.connection_count == 3)
    writers[0].close()
    await until(lambda: here.connection_count == 2)
    _, again = await asyncio.open_connection(*here.listening)
    await until(lambda: here.connection_count == 3)
    for writer in (writers[1], third, elsewhere, again):
        writer.close()


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the exchange and a phone need for TLS."""
    certificate, key = make_certificate(tmp_path / "tls")
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, key)
    return ours, ssl.create_default_context(cafile=str(certificate))


async def test_who_has_not_shaken_hands_counts_for_its_source_and_is_dropped_soon(
    handler: Handler,
    make: Make,
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sip_proxy.transport.tls_door._HANDSHAKE_S", 0.3)
    monkeypatch.setattr("sip_proxy.transport.stream._SWEEP_INTERVAL_S", 0.02)
    ours, theirs = certified
    here = make(StreamLimits(connections_of_one_source=2), ours)
    await here.start()
    silent = [await asyncio.open_connection(*here.listening) for _ in range(3)]
    await until(lambda: here.admission.refused_count == 1)
    await until(lambda: here.admission.dropped == {"no TLS handshake": 2})
    for reader, writer in silent:
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()

    _, phone = await asyncio.open_connection(*here.listening, ssl=theirs)
    phone.write(MESSAGE)
    await until(lambda: handler.messages)
    assert (here.connection_count, here.admission.refused_count) == (1, 1)
    phone.close()


async def test_slow_peers_are_dropped(handler: Handler, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sip_proxy.transport.stream._SWEEP_INTERVAL_S", 0.02)
    here = make(StreamLimits(first_message_s=0.05, message_s=0.1))
    await here.start()
    silent, silent_writer = await asyncio.open_connection(*here.listening)
    slow, slow_writer = await asyncio.open_connection(*here.listening)
    slow_writer.write(MESSAGE + MESSAGE[:-1])
    await until(lambda: here.connection_count == 0)

    assert here.admission.dropped == {"no message": 1, "unfinished message": 1}
    for reader, writer in ((silent, silent_writer), (slow, slow_writer)):
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_udp_bursts_and_answers(handler: Handler) -> None:
    loop = asyncio.get_running_loop()
    here = UdpTransport(
        bind_udp(ListenAddress("127.0.0.1", 0)),
        handler=handler,
        local_addresses=LocalAddresses(),
        round_s=0.02,
    )
    here.start(loop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        # Several groups, so that the second finds the transport looking by the clock, and the last one not.
        for group in range(4):
            for number in range(group * 50, group * 50 + 50):
                peer.sendto(b"%d" % number, here.listening)
            await until(lambda: len(handler.messages) == group * 50 + 50)  # noqa: B023
        flow = handler.messages[0][1]
        here.send(b"answer", flow)
        peer.settimeout(5)

        assert peer.recv(100) == b"answer"
        assert flow == Flow(Transport.UDP, peer.getsockname(), here.listening)
    assert [int(data) for data, _ in handler.messages] == list(range(200))
    here.pause()
    here.close()


async def test_udp_is_read_on_after_a_datagram_that_the_exchange_fails_at(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    errors: list[dict[str, object]] = []
    loop.set_exception_handler(lambda loop, context: errors.append(context))
    take = handler.received

    def received(data: bytes, flow: Flow) -> bool:
        take(data, flow)
        if data == b"bad":
            raise ValueError
        return True

    monkeypatch.setattr(handler, "received", received)
    here = UdpTransport(
        bind_udp(ListenAddress("127.0.0.1", 0)),
        handler=handler,
        local_addresses=LocalAddresses(),
        round_s=0.02,
    )
    here.start(loop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        # Two groups are read when it is woken; then it looks by the clock, and finds the bad one.
        for _ in range(150):
            peer.sendto(b"good", here.listening)
        peer.sendto(b"bad", here.listening)
        await until(lambda: len(handler.messages) == 151)
        peer.sendto(b"last", here.listening)
        await until(lambda: handler.messages[-1][0] == b"last")
    assert len(errors) == 1
    here.pause()
    here.close()


async def test_a_datagram_from_port_0_is_from_nobody(handler: Handler) -> None:
    """RFC 768: no answer can be sent there; whoever forges such a sender would have each answer fail."""
    here = UdpTransport(
        bind_udp(ListenAddress("127.0.0.1", 0)), handler=handler, local_addresses=LocalAddresses()
    )
    assert here._flow(("192.0.2.1", 0)) is None
    flow = here._flow(("192.0.2.1", 1))
    assert flow is not None
    assert flow.remote == ("192.0.2.1", 1)
    here.close()


@pytest.mark.parametrize(
    ("host", "port", "length"), [("127.0.0.1", 9, 70_000), ("127.0.0.1", 65_536, 1), (f"{'a' * 64}.b", 9, 1)]
)
async def test_what_udp_cannot_send_is_told(handler: Handler, host: str, port: int, length: int) -> None:
    here = UdpTransport(
        bind_udp(ListenAddress("127.0.0.1", 0)), handler=handler, local_addresses=LocalAddresses()
    )
    destination = Destination(Transport.UDP, host, port)
    here.send(b"x" * length, destination)
    here.close()

    assert handler.unsent == [(b"x" * length, destination)]


def test_phones_call_each_other_over_tls(billing: FakeBilling, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path / "tls")
    settings = tls_settings(certificate, key)
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    with running_proxy(tmp_path / "var", billing, **settings) as proxy:
        with (
            phone("0001", "secret of 1", proxy.address("tls"), "tls", tls=context) as caller,
            phone("0002", "secret of 2", proxy.address("tls"), "tls", tls=context) as callee,
        ):
            assert callee.register().status == 200
            (registration,) = proxy.control("GET", "/v1/registrations").body["items"]
            assert registration["transport"] == "TLS"
            assert hang_up(caller, callee, call(caller, callee)).status == 200
        (record,) = billing.wait_for_records()
        assert record["outcome"] == "answered"


@pytest.mark.parametrize(
    ("caller_over", "callee_over"), [("udp", "udp"), ("tcp", "udp"), ("udp", "tls"), ("tls", "tcp")]
)
def test_phones_call_each_other_over_ipv6(
    billing: FakeBilling, tmp_path: Path, caller_over: str, callee_over: str
) -> None:
    certificate, key = make_certificate(tmp_path / "tls")
    settings = {
        **tls_settings(certificate, key, "[::1]:0"),
        "TOLLBELL_SIP_UDP": "[::1]:0",
        "TOLLBELL_SIP_TCP": "[::1]:0",
        "TOLLBELL_SIP_WS": "[::1]:0",
    }
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    with (
        running_proxy(tmp_path / "var", billing, **settings) as proxy,
        phone(
            "0001",
            "secret of 1",
            proxy.address(caller_over),
            caller_over,
            tls=context if caller_over == "tls" else None,
        ) as caller,
        phone(
            "0002",
            "secret of 2",
            proxy.address(callee_over),
            callee_over,
            tls=context if callee_over == "tls" else None,
        ) as callee,
    ):
        assert callee.register().status == 200
        (registration,) = proxy.control("GET", "/v1/registrations").body["items"]
        assert registration["source"].startswith("[::1]:")
        answer = call(caller, callee)
        assert all("[::1]:" in route for route in answer.headers("Record-Route"))
        assert hang_up(caller, callee, answer).status == 200
        (record,) = billing.wait_for_records()
        assert record["outcome"] == "answered"
        assert not proxy.events("security")


def test_a_plain_text_phone_on_the_tls_port_disturbs_nobody(billing: FakeBilling, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path / "tls")
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    with running_proxy(tmp_path / "var", billing, **tls_settings(certificate, key)) as proxy:
        with socket.create_connection(proxy.address("tls"), 5) as stranger:
            stranger.sendall(MESSAGE)
            with suppress(ConnectionError):
                assert stranger.recv(100)[:1] != b"S"  # an alert of TLS or nothing, never SIP
        with phone("0002", "secret of 2", proxy.address("tls"), "tls", tls=context) as late:
            assert late.register().status == 200
        assert not proxy.events("engine_error")


def test_a_certificate_that_does_not_fit_its_key_is_one_clear_line(
    billing: FakeBilling, tmp_path: Path
) -> None:
    certificate, _ = make_certificate(tmp_path / "one")
    _, key = make_certificate(tmp_path / "other")
    settings = {"TOLLBELL_SIP_TLS_CERTIFICATE": str(certificate), "TOLLBELL_SIP_TLS_KEY": str(key)}

    with (
        pytest.raises(AssertionError, match="can't be used"),
        running_proxy(tmp_path / "var", billing, **settings),
    ):
        pass
