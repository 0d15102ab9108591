"""Datagrams get lost, doubled, late and out of order; each attempt still has one record."""

from collections.abc import Callable

import pytest

from tests.support.fake_billing import FakeBilling
from tests.support.honest_phones import crowd
from tests.support.lossy_relay import lossy_relay
from tests.support.proxy_process import ProxyProcess
from tests.support.reconciliation import reconcile
from tests.support.system import eventually

CALLS_PER_S = 25


@pytest.mark.parametrize(
    ("calls", "weather"),
    [
        pytest.param(50, {"loss": 0.0, "duplication": 0.0, "late": 0.0}, id="fair"),
        pytest.param(300, {"loss": 0.05, "duplication": 0.05, "late": 0.05}, id="foul"),
        pytest.param(100, {"loss": 0.15, "duplication": 0.30, "late": 0.30}, id="storm"),
    ],
)
def test_every_attempt_has_one_record(
    proxy: ProxyProcess,
    billing: FakeBilling,
    accounts: dict[str, str],
    calls: int,
    weather: dict[str, float],
    say: Callable[[str], None],
) -> None:
    seed = 1
    with (
        lossy_relay(proxy.address("udp"), seed=seed, **weather) as relay,
        crowd(relay.address, accounts, seed=seed) as phones,
    ):
        attempts = phones.make_calls(calls, CALLS_PER_S)
        eventually(
            lambda: not proxy.control("GET", "/v1/calls").body["items"], "the exchange has no calls left", 40
        )
        eventually(
            lambda: proxy.control("GET", "/health").body["undelivered_records"] == 0, "all records arrive"
        )
        found = reconcile(attempts, billing.records.values())
        say(f"{dict(relay.counts)}\n  {found}")

    assert not found.differences, "\n".join(found.differences)
    assert found.records == calls
    assert billing.duplicates == 0
    assert not proxy.events("engine_error")
    assert relay.counts["lost"] > 0 or weather["loss"] == 0
