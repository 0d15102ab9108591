"""The softphone with the real exchange: what a user of the phone notices of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from softphone.engine import events
from tests.support.fake_billing import running_fake_billing
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.softphone import Phone, phone


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    with running_fake_billing() as billing:
        for number in ("0001", "0002"):
            billing.add_account(number, f"secret {number}")
        with running_proxy(tmp_path_factory.mktemp("exchange"), billing) as exchange:
            yield exchange


@pytest.fixture
def phones() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def plug_in(
    stack: ExitStack, exchange: ProxyProcess, number: str, tmp_path: Path, transport: str = "udp"
) -> Phone:
    host, port = exchange.address(transport)
    return stack.enter_context(
        phone(number, f"secret {number}", server=f"{host}:{port}", transport=transport, directory=tmp_path)
    )


@pytest.mark.parametrize(
    ("callers", "callees"), [("udp", "udp"), ("udp", "tcp"), ("tcp", "udp"), ("tcp", "tcp")]
)
def test_two_numbers_talk_both_ways(
    phones: ExitStack, exchange: ProxyProcess, tmp_path: Path, callers: str, callees: str
) -> None:
    alice = plug_in(phones, exchange, "0001", tmp_path, callers)
    bob = plug_in(phones, exchange, "0002", tmp_path, callees)
    alice.register()
    bob.register()

    alice.call("0002")
    assert bob.wait_for_ring().number == "0001"
    alice.wait_until_ringing()
    bob.answer()
    alice.wait_until_talking()
    alice.send_tone(440)
    bob.send_tone(1000)
    bob.hear_frequency(440)
    alice.hear_frequency(1000)
    alice.send_dtmf("42")
    bob.expect_dtmf("42")
    bob.hang_up()

    assert alice.wait_for_end().status == 200


def test_the_display_of_a_refused_caller_says_why(
    phones: ExitStack, exchange: ProxyProcess, tmp_path: Path
) -> None:
    alice = plug_in(phones, exchange, "0001", tmp_path)
    alice.register()

    alice.call("0099")

    ended = alice.wait_for_end()
    assert (ended.status, ended.detail) == (404, "There is no such number")


def test_busy_and_giving_up(phones: ExitStack, exchange: ProxyProcess, tmp_path: Path) -> None:
    alice = plug_in(phones, exchange, "0001", tmp_path)
    bob = plug_in(phones, exchange, "0002", tmp_path)
    alice.register()
    bob.register()

    alice.call("0002")
    bob.wait_for_ring()
    bob.reject(486)
    assert alice.wait_for_end().status == 486
    alice.call("0002")
    bob.wait_for_ring()
    alice.wait_until_ringing()
    alice.hang_up()

    assert bob.wait_for_end().status == 487


def test_a_wrong_password_is_reported(exchange: ProxyProcess, tmp_path: Path) -> None:
    host, port = exchange.address("udp")
    with phone("0001", "wrong", server=f"{host}:{port}", directory=tmp_path) as alice:
        failed = alice.register_in_vain()

        assert (failed.status, failed.retrying) == (401, False)


def test_a_phone_notices_that_the_exchange_was_away_and_registers_again(
    phones: ExitStack, exchange: ProxyProcess, tmp_path: Path
) -> None:
    alice = plug_in(phones, exchange, "0001", tmp_path, "tcp")
    bob = plug_in(phones, exchange, "0002", tmp_path)
    alice.register()
    exchange.kill()
    exchange.start()

    alice.wait_for(events.Registered, timeout_s=20)

    bob.register()
    bob.call("0001")
    alice.wait_for_ring()
    alice.answer()
    bob.wait_until_talking()
    bob.hang_up()
