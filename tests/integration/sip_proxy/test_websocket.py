"""SIP over WebSocket (RFC 7118): handshake, frames, limits; real connections by aiohttp's client."""

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import FramingError
from sip_proxy.settings import ListenAddress
from sip_proxy.transport.stream import bind_stream
from sip_proxy.transport.stream_connection import StreamLimits
from sip_proxy.transport.websocket import WebSocketTransport
from tests.support.certificates import make_certificate, tls_settings
from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import running_proxy

MESSAGE = "OPTIONS sip:a SIP/2.0\r\nSubject: grüß\r\nContent-Length: 0\r\n\r\n"


class Handler:
    """Notes what the transport tells; takes as much as there is `room` for."""

    def __init__(self) -> None:
        self.room = 1000
        self.refused = 0
        self.messages: list[tuple[bytes, Flow]] = []
        self.closed: list[Flow] = []
        self.unsent: list[tuple[bytes, Flow | Destination]] = []

    def received(self, data: bytes, flow: Flow) -> bool:
        if self.room <= 0:
            self.refused += 1
            return False
        self.room -= 1
        if data.strip():
            self.messages.append((data, flow))
        return True

    def framing_failed(self, error: FramingError, flow: Flow) -> None:
        raise AssertionError("frames need no framing")

    def flow_closed(self, flow: Flow) -> None:
        self.closed.append(flow)

    def unable_to_send(self, data: bytes, to: Flow | Destination) -> None:
        self.unsent.append((data, to))

    def turn_ended(self) -> None:
        """Nothing is waiting here."""


@pytest.fixture
def handler() -> Handler:
    return Handler()


Make = Callable[..., Awaitable[WebSocketTransport]]


@pytest.fixture
async def make(handler: Handler) -> AsyncIterator[Make]:
    made: list[WebSocketTransport] = []

    async def make(limits: StreamLimits | None = None, *, host: str = "127.0.0.1") -> WebSocketTransport:
        transport = WebSocketTransport(
            bind_stream(ListenAddress(host, 0)),
            transport=Transport.WS,
            handler=handler,
            next_number=itertools.count(1),
            clock=time.monotonic,
            limits=limits,
        )
        await transport.start()
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.close()


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def url(transport: WebSocketTransport) -> str:
    return f"http://{ListenAddress(*transport.listening)}/"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def test_messages_go_in_text_and_binary_frames_both_ways(
    handler: Handler, make: Make, browser: aiohttp.ClientSession
) -> None:
    here = await make()
    async with browser.ws_connect(url(here), protocols=("sip",)) as phone:
        assert phone.protocol == "sip"
        await phone.send_str(MESSAGE)
        await phone.send_bytes(MESSAGE.encode())
        await until(lambda: len(handler.messages) == 2)
        assert [data for data, _ in handler.messages] == [MESSAGE.encode()] * 2
        (flow,) = {flow for _, flow in handler.messages}
        assert (flow.transport, flow.local) == (Transport.WS, here.listening)
        here.send("SIP/2.0 200 grüß\r\n\r\n".encode(), flow)
        here.send(b"SIP/2.0 200 \xff\r\n\r\n", flow)

        # RFC 7118 §5: what is not UTF-8 can't go in a text frame.
        assert await phone.receive_str() == "SIP/2.0 200 grüß\r\n\r\n"
        assert await phone.receive_bytes() == b"SIP/2.0 200 \xff\r\n\r\n"
        assert (here.connection_count, here.received_count, here.sent_count) == (1, 2, 2)
    await until(lambda: handler.closed == [flow])
    assert (here.connection_count, here.received_count) == (0, 2)
    here.send(b"too late", flow)
    assert handler.unsent == [(b"too late", flow)]


async def test_over_ipv6(handler: Handler, make: Make, browser: aiohttp.ClientSession) -> None:
    here = await make(host="::1")
    async with browser.ws_connect(url(here), protocols=("sip",)) as phone:
        await phone.send_str(MESSAGE)
        await until(lambda: handler.messages)
    assert handler.messages[0][1].remote[0] == "::1"


async def test_browsers_connect_by_wss_with_the_certificate(
    billing: FakeBilling, browser: aiohttp.ClientSession, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path / "tls")
    context = ssl.create_default_context(cafile=str(certificate))
    settings = {**tls_settings(certificate, key), "TOLLBELL_SIP_WSS": "127.0.0.1:0"}
    with running_proxy(tmp_path / "var", billing, **settings) as proxy:
        host, port = proxy.address("wss")
        async with browser.ws_connect(f"wss://{host}:{port}", protocols=("sip",), ssl=context) as phone:
            await phone.send_str(
                "OPTIONS sip:tollbell.local SIP/2.0\r\n"
                "Via: SIP/2.0/WSS nowhere.invalid;branch=z9hG4bKwss\r\n"
                "From: <sip:0001@tollbell.local>;tag=1\r\n"
                "To: <sip:tollbell.local>\r\n"
                "Call-ID: wss\r\n"
                "CSeq: 1 OPTIONS\r\n\r\n"
            )
            assert (await phone.receive_str(timeout=5)).startswith("SIP/2.0 200 ")


async def test_a_ping_of_two_line_ends_is_answered_with_one(
    handler: Handler, make: Make, browser: aiohttp.ClientSession
) -> None:
    here = await make()
    async with browser.ws_connect(url(here), protocols=("sip",)) as phone:
        await phone.send_str("\r\n\r\n")

        assert await phone.receive_str() == "\r\n"
    assert handler.messages == []


@pytest.mark.parametrize("protocols", [(), ("chat",), ("sipx", "xsip")])
async def test_a_handshake_without_the_sip_protocol_is_refused(
    make: Make, browser: aiohttp.ClientSession, protocols: tuple[str, ...]
) -> None:
    here = await make()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(url(here), protocols=protocols)

    assert refused.value.status == 400


async def test_sip_is_chosen_among_other_protocols(make: Make, browser: aiohttp.ClientSession) -> None:
    here = await make()
    async with browser.ws_connect(url(here), protocols=("chat", "sip")) as phone:
        assert phone.protocol == "sip"


async def test_plain_http_is_told_to_upgrade(make: Make, browser: aiohttp.ClientSession) -> None:
    here = await make()
    async with browser.get(url(here)) as answer:
        assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")


async def test_a_frame_that_is_too_large_ends_the_connection(
    handler: Handler, make: Make, browser: aiohttp.ClientSession
) -> None:
    here = await make()
    async with browser.ws_connect(url(here), protocols=("sip",)) as phone:
        await phone.send_bytes(b"x" * 400_000)
        end = await phone.receive()

    assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)
    await until(lambda: here.connection_count == 0)
    assert handler.messages == []


async def test_no_more_connections_than_there_is_room_for(make: Make, browser: aiohttp.ClientSession) -> None:
    here = await make(StreamLimits(connections=1))
    async with browser.ws_connect(url(here), protocols=("sip",)):
        with pytest.raises(aiohttp.ClientError):
            await browser.ws_connect(url(here), protocols=("sip",))
    assert here.admission.refused_count  # (the client may try twice)


async def test_one_source_does_not_take_the_room_of_all(make: Make, browser: aiohttp.ClientSession) -> None:
    here = await make(StreamLimits(connections_of_one_source=2))
    elsewhere = aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0)))
    async with elsewhere, browser.ws_connect(url(here), protocols=("sip",)):
        async with browser.ws_connect(url(here), protocols=("sip",)):
            with pytest.raises(aiohttp.ClientError):
                await browser.ws_connect(url(here), protocols=("sip",))
            async with elsewhere.ws_connect(url(here), protocols=("sip",)):
                assert here.connection_count == 3
        await until(lambda: here.connection_count == 1)
        async with browser.ws_connect(url(here), protocols=("sip",)):
            assert here.connection_count == 2


async def test_a_source_that_sends_too_much_is_not_read_for_a_while_and_loses_nothing(
    handler: Handler, make: Make, browser: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sip_proxy.transport.websocket_connection.REST_S", 0.01)
    here = await make()
    handler.room = 1
    async with browser.ws_connect(url(here), protocols=("sip",), autoping=False) as phone:
        for number in range(3):
            await phone.send_str(f"{number}{MESSAGE}")
        await phone.ping(b"p")
        await until(lambda: handler.refused > 2)
        assert len(handler.messages) == 1
        handler.room = 2
        await until(lambda: len(handler.messages) == 3)
        assert [data[:1] for data, _ in handler.messages] == [b"0", b"1", b"2"]
        await until(lambda before=handler.refused: handler.refused > before)  # type: ignore[misc]
        handler.room = 1  # for the ping
        assert (await phone.receive()).type is aiohttp.WSMsgType.PONG


async def test_a_frame_that_does_not_come_to_its_end_is_not_waited_for(
    handler: Handler, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sip_proxy.transport.websocket._FRAME_S", 0.1)
    here = await make()
    reader, writer = await asyncio.open_connection(*here.listening)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x81\x81\0\0\0\0x" + b"\x01\x81\0\0\0\0y")  # a whole frame, and a fragment of one
    await until(lambda: handler.closed)
    writer.close()

    assert [data for data, _ in handler.messages] == [b"x"]


async def test_who_does_not_come_to_the_point_is_dropped(
    make: Make, browser: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sip_proxy.transport.websocket._SWEEP_INTERVAL_S", 0.02)
    monkeypatch.setattr("sip_proxy.transport.websocket._HANDSHAKE_S", 0.05)
    here = await make(StreamLimits(first_message_s=0.1))
    slow_reader, slow = await asyncio.open_connection(*here.listening)
    slow.write(b"GET / HTTP/1.1\r\n")
    async with browser.ws_connect(url(here), protocols=("sip",)) as silent:
        assert (await silent.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        with suppress(ConnectionError):  # a reset is an end, too
            assert await slow_reader.read() == b""
    slow.close()

    assert here.admission.dropped == {"no handshake": 1, "no message": 1}


async def test_a_peer_that_does_not_read_is_dropped(
    handler: Handler, make: Make, browser: aiohttp.ClientSession
) -> None:
    here = await make(StreamLimits(unsent_bytes=1000))
    async with browser.ws_connect(url(here), protocols=("sip",)) as phone:
        await phone.send_str(MESSAGE)
        await until(lambda: handler.messages)
        flow = handler.messages[0][1]
        here.send(b"x" * 1001, flow)

        assert handler.unsent == [(b"x" * 1001, flow)]
        await until(lambda: handler.closed == [flow])


async def test_nothing_can_be_sent_to_where_nobody_has_connected_from(handler: Handler, make: Make) -> None:
    here = await make()
    nowhere = Destination(Transport.WS, "127.0.0.1", 9)
    here.send(b"x", nowhere)

    assert handler.unsent == [(b"x", nowhere)]
