"""SIPp, the field's test tool, registers, calls and is called through the exchange, with authentication."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.fake_billing import FakeBilling
from tests.support.ports import free_port
from tests.support.proxy_process import ProxyProcess
from tests.support.sipp import start_sipp
from tests.support.system import eventually

CALLS = 20


@pytest.mark.parametrize(
    ("caller_over", "callee_over"), [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]
)
def test_calls_between_two_phones(
    proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path, caller_over: str, callee_over: str
) -> None:
    with ExitStack() as stack:
        callee = start_sipp(
            "register",
            directory=tmp_path,
            server=proxy.address(callee_over),
            transport=callee_over,
            called="0002",
            number="0002",
            password="secret2",
            out_of_call="callee",
            stay_ms="30000",
        )
        stack.callback(callee.stop)
        eventually(
            lambda: proxy.control("GET", "/v1/registrations").body["items"], f"it registers {callee.report()}"
        )
        caller = start_sipp(
            "caller",
            directory=tmp_path,
            server=proxy.address(caller_over),
            transport=caller_over,
            called="0002",
            number="0001",
            password="secret1",
            calls=CALLS,
            rate=50,
            caller="0001",
            talk_ms="300",
        )
        stack.callback(caller.stop)
        caller.wait()
        records = billing.wait_for_records(CALLS)

    assert len(records) == CALLS
    assert billing.duplicates == 0
    for record in records:
        assert (record["caller"], record["callee"]) == ("0001", "0002")
        assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
        assert 300_000 <= record["duration_us"] < 3_000_000
    assert proxy.control("GET", "/v1/calls").body["items"] == []
    assert not proxy.events("engine_error")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_that_registers_in_one_run_answers_in_the_next(
    proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path, transport: str
) -> None:
    port = free_port()
    start_sipp(
        "register",
        directory=tmp_path,
        server=proxy.address(transport),
        transport=transport,
        called="0002",
        number="0002",
        password="secret2",
        port=port,
        stay_ms="1",
    ).wait()
    callee = start_sipp(
        "callee",
        directory=tmp_path,
        server=proxy.address(transport),
        transport=transport,
        called="0002",
        number="0002",
        password="secret2",
        port=port,
    )
    try:
        start_sipp(
            "caller",
            directory=tmp_path,
            server=proxy.address(transport),
            transport=transport,
            called="0002",
            number="0001",
            password="secret1",
            caller="0001",
            talk_ms="100",
        ).wait()
        callee.wait()
    finally:
        callee.stop()
    (record,) = billing.wait_for_records()

    assert record["outcome"] == "answered"


def test_a_wrong_password_is_refused(proxy: ProxyProcess, tmp_path: Path) -> None:
    run = start_sipp(
        "register",
        directory=tmp_path,
        server=proxy.address("udp"),
        transport="udp",
        called="0002",
        number="0002",
        password="guess",
        stay_ms="1",
    )
    with pytest.raises(AssertionError, match=r"40[13]"):
        run.wait()

    assert proxy.control("GET", "/v1/registrations").body["items"] == []
