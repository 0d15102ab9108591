"""The disk fills up under load: calls are refused rather than made without a record, for a while."""

import time
from collections.abc import Callable

from tests.support.fake_billing import FakeBilling
from tests.support.full_disk import full_disk
from tests.support.honest_phones import crowd
from tests.support.proxy_process import ProxyProcess
from tests.support.reconciliation import reconcile
from tests.support.system import eventually

CALLS_PER_S = 30
FULL_FOR_S = 3


def test_nothing_is_lost_and_nothing_is_free(
    proxy: ProxyProcess, billing: FakeBilling, accounts: dict[str, str], say: Callable[[str], None]
) -> None:
    with crowd(proxy.address("udp"), accounts, seed=2) as phones:
        phones.start_calling(CALLS_PER_S)
        time.sleep(2)
        with full_disk(proxy.pid):
            eventually(lambda: proxy.events("journal_failed"), "the exchange notices")
            time.sleep(FULL_FOR_S)
            refused = phones.counts()["refused with 503"]
        eventually(lambda: proxy.events("journal_recovered"), "the exchange recovers by itself")
        answered = phones.counts()["answered"]
        time.sleep(2)
        phones.stop_calling()
        phones.wait_until_over()
        eventually(
            lambda: proxy.control("GET", "/health").body["undelivered_records"] == 0, "all records arrive"
        )
    found = reconcile(phones.all_attempts(), billing.records.values())
    say(f"{dict(phones.counts())}\n  {found}")

    assert not found.differences, "\n".join(found.differences)
    assert refused > CALLS_PER_S * FULL_FOR_S / 2
    assert phones.counts()["answered"] > answered + CALLS_PER_S / 2
