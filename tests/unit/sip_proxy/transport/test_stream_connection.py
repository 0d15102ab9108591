"""One connection of a stream transport: framing, pongs, limits, and its end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import FramingError
from sip_proxy.transport.stream_connection import StreamConnection, StreamLimits

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
LIMITS = StreamLimits(first_message_s=30, message_s=20, idle_s=100, unsent_bytes=1000)


class Socket:
    def __init__(self) -> None:
        self.options: dict[int, int] = {}

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options[option] = value


class FakeTransport:
    """A connection whose peer reads nothing of what is written."""

    def __init__(self, peer: Any = ("192.0.2.1", 5070), local: Any = ("192.0.2.9", 5060)) -> None:
        self.extra = {"peername": peer, "sockname": local, "socket": Socket()}
        self.written = b""
        self.is_closed = False
        self.is_aborted = False
        self.is_read = True

    def pause_reading(self) -> None:
        assert self.is_read
        self.is_read = False

    def resume_reading(self) -> None:
        assert not self.is_read
        self.is_read = True

    def get_extra_info(self, name: str) -> Any:
        return self.extra[name]

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class Handler:
    """Notes what the connection tells; takes as much as there is `room` for."""

    def __init__(self) -> None:
        self.room = 1000
        self.messages: list[bytes] = []
        self.failures: list[str] = []
        self.turns = 0

    def received(self, data: bytes, flow: Flow) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        if data.strip():
            self.messages.append(data)
        return True

    def framing_failed(self, error: FramingError, flow: Flow) -> None:
        self.failures.append(str(error))

    def flow_closed(self, flow: Flow) -> None:
        raise AssertionError("the connection itself does not tell this")

    def unable_to_send(self, data: bytes, to: Flow | Destination) -> None:
        raise AssertionError("the connection itself does not tell this")

    def turn_ended(self) -> None:
        self.turns += 1


class Peer:
    """A connection and everything around it."""

    def __init__(self, transport: FakeTransport | None = None, *, room: bool = True) -> None:
        self.now = 0.0
        self.handler = Handler()
        self.transport = transport or FakeTransport()
        self.opened: list[StreamConnection] = []
        self.closed: list[StreamConnection] = []
        self.connection = StreamConnection(
            transport=Transport.TCP,
            number=7,
            handler=self.handler,
            limits=LIMITS,
            clock=lambda: self.now,
            on_open=lambda one: self.opened.append(one) or room,  # type: ignore[func-returns-value]
            on_closed=self.closed.append,
        )
        fake: Any = self.transport
        self.connection.connection_made(fake)

    def overstayed_at(self, now: float) -> str | None:
        return self.connection.overstayed(now)


def test_knows_its_flow() -> None:
    assert Peer().connection.flow == Flow(Transport.TCP, ("192.0.2.1", 5070), ("192.0.2.9", 5060), 7)


def test_an_ipv4_peer_on_an_ipv6_socket_has_its_ipv4_address() -> None:
    transport = FakeTransport(("::ffff:192.0.2.1", 5070, 0, 0), ("::ffff:192.0.2.9", 5060, 0, 0))

    assert Peer(transport).connection.flow == Flow(Transport.TCP, ("192.0.2.1", 5070), ("192.0.2.9", 5060), 7)


def test_hands_on_whole_messages_in_one_turn() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE + MESSAGE + MESSAGE[:10])

    assert peer.handler.messages == [MESSAGE, MESSAGE]
    assert peer.handler.turns == 1
    assert peer.connection.received_count == 2


def test_answers_pings() -> None:
    peer = Peer()
    peer.connection.data_received(b"\r\n\r\n\r\n\r\n")

    assert peer.transport.written == b"\r\n\r\n"


@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sip_proxy.transport.stream_connection.REST_S", 0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.usefixtures("short_rests")
async def test_a_source_that_sends_too_much_is_not_read_for_a_while_and_loses_nothing() -> None:
    peer = Peer()
    second = MESSAGE.replace(b"body", b"next")
    peer.handler.room = 1
    peer.connection.data_received(MESSAGE + second + MESSAGE[:10])
    assert not peer.transport.is_read
    peer.connection.data_received(MESSAGE[10:])  # was decrypted already, as on TLS it may be
    assert peer.handler.messages == [MESSAGE]

    peer.handler.room = 5
    await until(lambda: peer.transport.is_read)
    assert peer.handler.messages == [MESSAGE, second, MESSAGE]
    assert peer.connection.received_count == 3


@pytest.mark.usefixtures("short_rests")
async def test_keep_alives_count_as_messages_and_nobody_needs_many() -> None:
    peer = Peer()
    peer.handler.room = 0
    peer.connection.data_received(b"\r\n\r\n")
    assert not peer.transport.is_read
    await until(lambda: peer.transport.is_read)

    peer.handler.room = 1000
    peer.connection.data_received(b"\r\n\r\n" * 1000)
    assert not peer.transport.is_read
    assert peer.transport.written == b""
    await until(lambda: peer.transport.is_read)


@pytest.mark.usefixtures("short_rests")
async def test_a_connection_may_end_while_it_rests() -> None:
    peer = Peer()
    peer.handler.room = 0
    peer.connection.data_received(MESSAGE)
    rest = peer.connection._rest
    assert rest is not None
    peer.connection.connection_lost(None)

    assert peer.closed == [peer.connection]
    assert rest.cancelled()


def test_closes_after_a_framing_error_and_hears_nothing_more() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE + b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n")
    peer.connection.data_received(MESSAGE)

    assert peer.handler.messages == [MESSAGE]
    assert len(peer.handler.failures) == 1
    assert peer.transport.is_closed


def test_a_connection_without_room_is_dropped_and_not_heard() -> None:
    peer = Peer(room=False)
    peer.connection.data_received(MESSAGE)
    peer.connection.connection_lost(None)

    assert peer.transport.is_aborted
    assert peer.handler.messages == []
    assert peer.closed == []


def test_a_peer_that_is_gone_already_is_dropped() -> None:
    peer = Peer(FakeTransport(peer=None))

    assert peer.transport.is_aborted
    assert peer.opened == []


def test_tells_its_end_once() -> None:
    peer = Peer()
    peer.connection.connection_lost(None)
    peer.connection.connection_lost(None)

    assert peer.closed == [peer.connection]


def test_sends_until_it_is_closed() -> None:
    peer = Peer()

    assert peer.connection.send(b"one")
    assert peer.transport.written == b"one"
    peer.connection.close()
    assert not peer.connection.send(b"two")
    peer.connection.connection_lost(None)
    assert not peer.connection.send(b"three")


def test_a_peer_that_does_not_read_is_dropped() -> None:
    peer = Peer()

    assert peer.connection.send(b"x" * 1000)
    assert not peer.connection.send(b"x")
    assert peer.transport.is_aborted


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n"])
def test_a_connection_must_bring_a_message_in_time(data: bytes) -> None:
    peer = Peer()
    if data:
        peer.connection.data_received(data)

    assert peer.overstayed_at(30) is None
    assert peer.overstayed_at(30.1) == "no message"


def test_a_message_must_be_complete_in_time_even_when_it_trickles() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE)
    for second in range(20):
        peer.now = float(second)
        peer.connection.data_received(MESSAGE[second : second + 1])

    assert peer.overstayed_at(20) is None
    assert peer.overstayed_at(20.1) == "unfinished message"


def test_the_time_of_a_message_ends_with_it() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE[:10])
    peer.now = 19.0
    peer.connection.data_received(MESSAGE[10:])

    assert peer.overstayed_at(30.0) is None


def test_half_a_ping_is_no_unfinished_message() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE + b"\r\n")

    assert peer.overstayed_at(90.0) is None


def test_a_phone_may_be_silent_for_as_long_as_a_registration_lasts_and_no_longer() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE)

    assert peer.overstayed_at(100.0) is None
    assert peer.overstayed_at(100.1) == "idle"
    peer.now = 100.0
    peer.connection.data_received(b"\r\n\r\n")
    assert peer.overstayed_at(100.1) is None


def test_a_message_that_the_end_of_the_stream_cuts_off_is_malformed() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE + MESSAGE[:10])
    peer.connection.eof_received()
    peer.connection.connection_lost(None)

    assert peer.handler.failures == ["truncated"]


def test_a_message_that_a_reset_cuts_off_is_malformed() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE[:-1])
    peer.connection.connection_lost(ConnectionResetError())

    assert peer.handler.failures == ["truncated"]


@pytest.mark.parametrize("data", [b"", b"\r\n", MESSAGE, MESSAGE + b"\r\n\r"])
def test_a_stream_may_end_between_messages(data: bytes) -> None:
    peer = Peer()
    peer.connection.data_received(data)
    peer.connection.eof_received()
    peer.connection.connection_lost(ConnectionResetError())

    assert peer.handler.failures == []


def test_an_unfinished_message_is_not_held_against_a_peer_that_we_leave() -> None:
    peer = Peer()
    peer.connection.data_received(MESSAGE[:10])
    peer.connection.drop()
    peer.connection.connection_lost(None)

    assert peer.handler.failures == []


def test_what_could_not_be_framed_is_not_reported_again_at_the_end() -> None:
    peer = Peer()
    peer.connection.data_received(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n")
    peer.connection.eof_received()
    peer.connection.connection_lost(None)

    assert len(peer.handler.failures) == 1
