"""Hostile and broken input on real sockets: the right answer, one log line, and the next call works."""

import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.fake_billing import FakeBilling, running_fake_billing
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.socket_phone import SocketPhone, call, hang_up, phone
from tests.support.system import eventually

OPTIONS = (
    "OPTIONS sip:tollbell.local SIP/2.0\r\n"
    "Via: SIP/2.0/{transport} {address};rport;branch=z9hG4bKhostile\r\n"
    "Max-Forwards: 70\r\n"
    "From: <sip:0001@tollbell.local>;tag=h\r\n"
    "To: <sip:tollbell.local>\r\n"
    "Call-ID: hostile\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "{more}"
    "Content-Length: {length}\r\n"
    "\r\n"
)


# One exchange for the whole file, on purpose: whatever these tests throw at it, it goes on for the next.
@pytest.fixture(scope="module")
def billing() -> Iterator[FakeBilling]:
    with running_fake_billing() as billing:
        billing.add_account("0001", "secret of 1")
        billing.add_account("0002", "secret of 2")
        yield billing


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, billing: FakeBilling) -> Iterator[ProxyProcess]:
    with running_proxy(tmp_path_factory.mktemp("var"), billing) as proxy:
        yield proxy


_sources = itertools.count(2)


@pytest.fixture
def source() -> str:
    """An address of its own for each test, so that one test's flood does not silence the log of the next."""
    return f"127.0.1.{next(_sources)}"


def options(one: SocketPhone, *, length: str = "0", more: str = "") -> str:
    return OPTIONS.format(transport=one.transport.upper(), address=one.address, length=length, more=more)


def expect_good_service(proxy: ProxyProcess, billing: FakeBilling) -> None:
    """A call goes through as if nothing had happened."""
    before = len(billing.records)
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        assert callee.register().status == 200
        assert hang_up(caller, callee, call(caller, callee)).status == 200
        assert callee.register(expires=0).status == 200
    billing.wait_for_records(before + 1)
    assert not proxy.events("engine_error"), proxy.lines


def expect_one_line(proxy: ProxyProcess, source: str) -> None:
    eventually(lambda: proxy.events("security", source=source), "it is logged")
    time.sleep(0.1)  # a second line would come now
    (line,) = proxy.events("security", source=source)
    assert line["kind"] == "malformed_message"
    assert line["detail"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes(range(256)) * 4, id="binary noise"),
        pytest.param(b"INVITE sip:0002@tollbell.local SIP/2.0\r\nVia: SIP/2.0/UDP 127", id="truncated"),
        pytest.param(b"INVITE\r\n\r\n", id="no request line"),
        pytest.param(b"x", id="one byte"),
        pytest.param(b"SIP/2.0 200 OK\r\n\r\n", id="a response without headers"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="another protocol"),
    ],
)
def test_what_is_not_sip_on_udp_makes_one_log_line(
    proxy: ProxyProcess, source: str, billing: FakeBilling, data: bytes
) -> None:
    with phone("0001", "", proxy.address("udp"), source=source) as one:
        one.send(data)
        expect_one_line(proxy, one.address)
        with contextlib.suppress(TimeoutError):
            assert 400 <= one.receive(0.1).status < 600
    expect_good_service(proxy, billing)


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n", b"\0", b"\0\0\0\0", b""])
def test_keep_alives_of_phones_are_nothing_to_log(
    proxy: ProxyProcess, source: str, billing: FakeBilling, data: bytes
) -> None:
    with phone("0001", "", proxy.address("udp"), source=source) as one:
        one.send(data)
        expect_good_service(proxy, billing)

    assert not [line for line in proxy.events("security") if line["source"].startswith(f"{source}:")]


@pytest.mark.parametrize(
    ("length", "body"),
    [("-1", ""), ("99999999999999999999", ""), ("one", ""), ("100", "short")],
    ids=["negative", "huge", "not a number", "longer than the datagram"],
)
def test_a_lying_content_length_on_udp_is_a_bad_request(
    proxy: ProxyProcess, source: str, billing: FakeBilling, length: str, body: str
) -> None:
    with phone("0001", "", proxy.address("udp"), source=source) as one:
        one.send(options(one, length=length) + body)
        assert one.receive().status == 400
        expect_one_line(proxy, one.address)
    expect_good_service(proxy, billing)


def test_a_datagram_of_64_kilobytes_is_answered_or_logged(
    proxy: ProxyProcess, source: str, billing: FakeBilling
) -> None:
    with phone("0001", "", proxy.address("udp"), source=source) as one:
        one.send(options(one, more=f"X-Long: {'x' * 60_000}\r\n"))
        assert one.receive().status in (200, 400, 413, 513)
    expect_good_service(proxy, billing)


@pytest.mark.parametrize(
    ("length", "status"), [("-1", 400), ("99999999999999999999", 400), ("9999999", 413), ("one", 400)]
)
def test_a_lying_content_length_on_tcp_is_answered_and_the_connection_closed(
    proxy: ProxyProcess, source: str, billing: FakeBilling, length: str, status: int
) -> None:
    with phone("0001", "", proxy.address("tcp"), "tcp", source=source) as one:
        one.send(options(one, length=length))
        assert one.receive().status == status
        with pytest.raises(EOFError):
            one.receive()
        expect_one_line(proxy, one.address)
    expect_good_service(proxy, billing)


def test_a_header_of_100_kilobytes_on_tcp_is_answered_and_the_connection_closed(
    proxy: ProxyProcess, source: str, billing: FakeBilling
) -> None:
    with phone("0001", "", proxy.address("tcp"), "tcp", source=source) as one:
        with contextlib.suppress(ConnectionError):
            one.send(options(one, more=f"X-Long: {'x' * 100_000}\r\n"))
        assert one.receive().status == 513
        with pytest.raises((EOFError, ConnectionError)):
            one.receive()
        expect_one_line(proxy, one.address)
    expect_good_service(proxy, billing)


def test_noise_on_tcp_closes_the_connection(proxy: ProxyProcess, source: str, billing: FakeBilling) -> None:
    with phone("0001", "", proxy.address("tcp"), "tcp", source=source) as one:
        with contextlib.suppress(ConnectionError):
            one.send(os.urandom(200_000))
        with pytest.raises((EOFError, ConnectionError)):
            one.receive()
        expect_one_line(proxy, one.address)
    expect_good_service(proxy, billing)


def test_messages_come_whole_however_tcp_cuts_them(proxy: ProxyProcess, source: str) -> None:
    with phone("0001", "", proxy.address("tcp"), "tcp", source=source) as one:
        one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in options(one).encode():
            one.send(bytes([byte]))
        assert one.receive().status == 200
        second = options(one).replace("hostile", "second")
        one.send(second + options(one).replace("hostile", "third"))
        assert [one.receive().header("Call-ID") for _ in range(2)] == ["second", "third"]


def test_a_ping_is_answered_with_a_pong(proxy: ProxyProcess, source: str) -> None:
    with phone("0001", "", proxy.address("tcp"), "tcp", source=source) as one:
        one.send("\r\n\r\n")
        assert one.socket.recv(100) == b"\r\n"


def test_a_phone_that_goes_away_in_the_middle_of_a_message_disturbs_nobody(
    proxy: ProxyProcess, source: str, billing: FakeBilling
) -> None:
    with phone("0001", "", proxy.address("tcp"), "tcp", source=source) as one:
        one.send(options(one)[:50])
    expect_good_service(proxy, billing)


def test_a_flood_of_noise_makes_few_log_lines(proxy: ProxyProcess, source: str, billing: FakeBilling) -> None:
    with phone("0001", "", proxy.address("udp"), source=source) as one:
        for _ in range(500):
            one.send(b"noise")
        expect_good_service(proxy, billing)

    assert len([line for line in proxy.events("security") if line["source"].startswith(f"{source}:")]) == 1


def test_a_flood_of_different_noise_makes_few_log_lines(
    proxy: ProxyProcess, source: str, billing: FakeBilling
) -> None:
    for _ in range(50):
        with phone("0001", "", proxy.address("udp"), source=source) as one:
            one.send(b"noise")
    expect_good_service(proxy, billing)

    assert len([line for line in proxy.events("security") if line["source"].startswith(f"{source}:")]) == 10


def test_a_stranger_cannot_use_the_exchange_as_a_relay(proxy: ProxyProcess) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as one,
        phone("x", "", ("127.0.0.1", 9)) as target,
    ):
        one.send(one.request("MESSAGE", f"sip:x@{target.address}", call_id="relay", body="spam"))
        assert one.receive_final().status in (403, 404, 407)
        with pytest.raises((TimeoutError, ConnectionError)):
            target.receive(0.2)


def test_an_answer_to_a_port_that_there_is_not_costs_nobody_his_record(
    proxy: ProxyProcess, source: str, billing: FakeBilling
) -> None:
    """What is read at once is carried out at once: a BYE next to it must still end its call."""
    before = len(billing.records)
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
        phone("x", "x", proxy.address("udp"), source=source) as stranger,
    ):
        assert callee.register().status == 200
        answer = call(caller, callee)
        os.kill(proxy.pid, signal.SIGSTOP)
        stranger.send(options(stranger).replace(f"{stranger.address};rport", "127.0.0.1:65536"))
        caller.send(caller.in_dialog("BYE", answer, cseq=3))
        os.kill(proxy.pid, signal.SIGCONT)
        callee.respond(callee.expect_request("BYE"), 200, "OK")
        assert caller.receive_final().status == 200
        assert stranger.receive().status == 400
        assert callee.register(expires=0).status == 200
    billing.wait_for_records(before + 1)


def test_a_flood_from_a_stranger_is_dropped_unread_and_the_phones_go_on(
    proxy: ProxyProcess, source: str, billing: FakeBilling
) -> None:
    with phone("0001", "", proxy.address("udp"), source=source) as one:
        for number in range(3000):
            one.send(options(one).replace("hostile", f"flood{number}"))
            if number % 100 == 0:
                time.sleep(0.005)  # or the kernel drops what we want to be dropped there
        expect_good_service(proxy, billing)
        eventually(lambda: proxy.events("security", source=one.address, kind="rate_limited"), "it is told")

    metrics = proxy.control("GET", "/metrics", token=None).body
    (line,) = [line for line in metrics.splitlines() if line.startswith("tollbell_messages_limited_total ")]
    assert float(line.split()[1]) > 1000


def test_guesses_lock_a_number_out_at_that_address_only(proxy: ProxyProcess, source: str) -> None:
    with (
        phone("0002", "guess", proxy.address("udp"), source=source) as thief,
        phone("0002", "secret of 2", proxy.address("udp")) as real,
    ):
        for _ in range(10):
            assert thief.register().status == 401
        eventually(lambda: proxy.events("security", source=thief.address, kind="locked_out"), "it is told")
        thief.password = "secret of 2"
        assert thief.register().status == 401
        assert real.register().status == 200
        assert real.register(expires=0).status == 200
