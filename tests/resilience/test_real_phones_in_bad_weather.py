"""The softphone's engine and SIPp through bad network weather: still one record each, with its duration."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.support.fake_billing import FakeBilling
from tests.support.lossy_relay import lossy_relay
from tests.support.proxy_process import ProxyProcess
from tests.support.sipp import start_sipp
from tests.support.softphone import phone
from tests.support.system import eventually

CALLS_BY_ENGINES = 8
CALLS_BY_SIPP = 100
TALK_MS = 500
# With T1 at 0.5 s, what is lost comes half a second late, or 1.5 s when its copy is lost too.
RETRANSMITTED_S = 8.0

Say = Callable[[str], None]


def test_two_softphones(
    proxy: ProxyProcess, billing: FakeBilling, accounts: dict[str, str], say: Say
) -> None:
    (alice, alices), (bob, bobs), *_ = accounts.items()
    with lossy_relay(proxy.address("udp"), seed=5, loss=0.1) as relay:
        server = "{}:{}".format(*relay.address)
        with phone(alice, alices, server=server) as caller, phone(bob, bobs, server=server) as callee:
            caller.register()
            callee.register()
            talked = []
            for _ in range(CALLS_BY_ENGINES):
                caller.call(bob)
                callee.wait_for_ring()
                callee.answer()
                caller.wait_until_talking()
                began = time.monotonic()
                time.sleep(TALK_MS / 1000)
                talked.append(time.monotonic() - began)
                caller.hang_up()
                callee.wait_for_end()
            records = billing.wait_for_records(CALLS_BY_ENGINES)
        say(f"{dict(relay.counts)}\n  {CALLS_BY_ENGINES} calls, {len(records)} records")

    for record, talked_s in zip(records, talked, strict=True):
        assert record["outcome"] == "answered"
        assert talked_s <= record["duration_us"] / 1e6 <= talked_s + RETRANSMITTED_S
    assert relay.counts["lost"] > 0
    assert not proxy.events("engine_error")


def test_sipp(
    proxy: ProxyProcess, billing: FakeBilling, accounts: dict[str, str], tmp_path: Path, say: Say
) -> None:
    (alice, alices), (bob, bobs), *_ = accounts.items()
    with lossy_relay(proxy.address("udp"), seed=6) as relay:
        callee = start_sipp(
            "register",
            directory=tmp_path,
            server=relay.address,
            transport="udp",
            called=bob,
            number=bob,
            password=bobs,
            out_of_call="callee",
            stay_ms="40000",
            bad_network=True,
        )
        try:
            eventually(lambda: proxy.control("GET", "/v1/registrations").body["items"], "SIPp registers")
            start_sipp(
                "caller",
                directory=tmp_path,
                server=relay.address,
                transport="udp",
                called=bob,
                number=alice,
                password=alices,
                calls=CALLS_BY_SIPP,
                rate=20,
                caller=alice,
                talk_ms=str(TALK_MS),
                bad_network=True,
            ).wait()
            records = billing.wait_for_records(CALLS_BY_SIPP)
        finally:
            callee.stop()
        say(f"{dict(relay.counts)}\n  {CALLS_BY_SIPP} calls, {len(records)} records")

    assert len(records) == CALLS_BY_SIPP
    assert {record["outcome"] for record in records} == {"answered"}
    for record in records:
        assert TALK_MS * 1000 <= record["duration_us"] <= (TALK_MS / 1000 + RETRANSMITTED_S) * 1e6
    assert billing.duplicates == 0
