"""A call is billed exactly once: through `kill -9`, billing being away, lost answers and a full disk."""

import os
import resource
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.socket_phone import call, hang_up, phone
from tests.support.system import eventually


def test_a_call_outlives_the_death_of_the_exchange(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        before = time.monotonic()
        answer = call(caller, callee)
        answered = time.monotonic()
        proxy.kill()
        assert billing.records == {}
        proxy.start()

        (live,) = proxy.control("GET", "/v1/calls").body["items"]
        assert (live["caller"], live["callee"], live["state"]) == ("0001", "0002", "answered")
        (registration,) = proxy.control("GET", "/v1/registrations").body["items"]
        assert registration["number"] == "0002"
        hung_up = time.monotonic()
        assert hang_up(caller, callee, answer).status == 200
        after = time.monotonic()

        (record,) = billing.wait_for_records()
    assert record["outcome"] == "answered"
    assert hung_up - answered <= record["duration_us"] / 1e6 <= after - before
    proxy.stop()
    assert (len(billing.records), billing.duplicates) == (1, 0)


def test_an_unreadable_entry_in_the_journal_does_not_keep_the_exchange_from_starting(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    proxy.stop()
    with closing(sqlite3.connect(proxy.var / "journal.sqlite3")) as journal, journal:
        journal.execute("INSERT INTO bindings VALUES ('0001', 'not JSON')")
        journal.execute("INSERT INTO saved_call (record_id, boot_id, state) VALUES ('broken', 'boot', '{}')")
    proxy.start()

    assert {(line["kind"], line["key"]) for line in proxy.events("not_restored")} == {
        ("bindings", "0001"),
        ("call", "broken"),
    }
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        assert hang_up(caller, callee, call(caller, callee)).status == 200
    billing.wait_for_records()


def test_a_phone_can_be_called_after_a_restart_without_registering_again(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        proxy.stop()
        proxy.start()
        assert hang_up(caller, callee, call(caller, callee)).status == 200
    billing.wait_for_records()


def test_calls_are_switched_and_kept_while_billing_is_away(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        billing.stop()
        hang_up(caller, callee, call(caller, callee))
        eventually(
            lambda: proxy.control("GET", "/health").body["undelivered_records"] == 1, "the record waits"
        )
        hang_up(caller, callee, call(caller, callee))
        billing.start()
        billing.wait_for_records(2, timeout_s=15)
    eventually(
        lambda: proxy.control("GET", "/health").body["undelivered_records"] == 0, "nothing is left over"
    )
    assert billing.duplicates == 0


def test_the_exchange_starts_and_switches_calls_while_billing_is_away(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    directory = proxy.var / "directory.json"
    eventually(directory.exists, "the directory is on disk")
    assert directory.stat().st_mode & 0o777 == 0o600
    proxy.stop()
    billing.stop()
    proxy.start()
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        assert callee.register().status == 200
        hang_up(caller, callee, call(caller, callee))
    proxy.kill()
    assert billing.records == {}
    proxy.start()
    billing.start()

    assert len(billing.wait_for_records(timeout_s=15)) == 1


def test_an_answer_that_got_lost_makes_no_second_record(proxy: ProxyProcess, billing: FakeBilling) -> None:
    billing.drop_answers = True
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        hang_up(caller, callee, call(caller, callee))
    eventually(lambda: billing.deliveries >= 2, "it is delivered again")
    assert proxy.control("GET", "/health").body["undelivered_records"] == 1
    billing.drop_answers = False
    eventually(
        lambda: proxy.control("GET", "/health").body["undelivered_records"] == 0, "billing confirms it"
    )

    assert len(billing.records) == 1
    assert billing.duplicates >= 1


def test_nobody_is_told_of_an_answer_that_the_disk_does_not_know(
    proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path
) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        uri = "sip:0002@tollbell.local"
        assert caller.authenticated("INVITE", uri, call_id="disk").status == 100
        invite = callee.expect_request("INVITE")
        callee.respond(invite, 180, "Ringing")
        assert caller.receive().status == 180
        with full_disk(proxy):
            callee.respond(invite, 200, "OK", contact=True)
            eventually(lambda: proxy.events("journal_failed"), "the disk is full")
            with pytest.raises(TimeoutError):
                caller.receive(0.3)
            assert proxy.control("GET", "/health").body["journal"] == "failed"
            with phone("0002", "secret of 2", proxy.address("udp")) as third:
                refused = third.authenticated("INVITE", "sip:0001@tollbell.local", call_id="nodisk")
                if refused.status == 100:
                    refused = third.receive_final()
                third.acknowledge(refused, "sip:0001@tollbell.local", cseq=2)
                assert refused.status == 503
        answer = caller.receive_final()
        assert answer.status == 200
        caller.send(caller.in_dialog("ACK", answer, cseq=2))
        while not callee.receive().start_line.startswith("ACK"):
            pass
        assert hang_up(caller, callee, answer).status == 200
        records = billing.wait_for_records(2)

    assert sorted(record["outcome"] for record in records) == ["answered", "rejected"]
    assert proxy.control("GET", "/health").body["journal"] == "ok"


def test_a_full_disk_does_not_stop_emergency_calls_and_is_got_over_without_anybodys_help(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    billing.add_account("9911", "secret of 9911")
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
        phone("0001", "secret of 1", proxy.address("udp")) as in_need,
        phone("9911", "secret of 9911", proxy.address("udp")) as rescue,
    ):
        eventually(lambda: rescue.register().status == 200, "the new account is known")
        callee.register()
        answer = call(caller, callee)
        with full_disk(proxy):
            assert in_need.register().status == 200
            eventually(lambda: proxy.events("journal_failed"), "the disk is full")
            # Nobody waits for the disk: neither for the answer nor for the end.
            assert hang_up(in_need, rescue, call(in_need, rescue)).status == 200
            # The call that costs something ends for those who talk; its end is told only once it is kept.
            caller.send(caller.in_dialog("BYE", answer, cseq=3))
            callee.respond(callee.expect_request("BYE"), 200, "OK")
            with pytest.raises(TimeoutError):
                caller.receive(0.3)
            assert billing.records == {}
        assert caller.receive_final().status == 200
        eventually(lambda: proxy.events("journal_recovered"), "the exchange got over it")
        records = {record["callee"]: record for record in billing.wait_for_records(2)}
        hang_up(caller, callee, call(caller, callee))
        billing.wait_for_records(3)

    assert [records[number]["outcome"] for number in ("0002", "9911")] == ["answered", "answered"]
    assert records["9911"]["emergency"] is True
    assert billing.duplicates == 0


class full_disk:  # noqa: N801 (reads as the condition that it makes)
    """Let every write of the exchange fail as on a full disk, by its limit on the size of files."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self._proxy = proxy

    def __enter__(self) -> None:
        self._before = resource.prlimit(self._proxy.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._proxy.pid, resource.RLIMIT_FSIZE, (0, self._before[1]))

    def __exit__(self, *error: object) -> None:
        resource.prlimit(self._proxy.pid, resource.RLIMIT_FSIZE, self._before)


def test_sigterm_in_the_middle_of_a_call_loses_nothing(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        answer = call(caller, callee)
        proxy.stop()
        proxy.start()
        hang_up(caller, callee, answer)
        (record,) = billing.wait_for_records()

    assert record["outcome"] == "answered"
    assert record["acknowledged_at"]  # which came after the call was saved


def test_a_taken_port_is_one_clear_line(proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path) -> None:
    host, port = proxy.address("udp")
    other = ProxyProcess(tmp_path / "other", billing, TOLLBELL_SIP_UDP=f"{host}:{port}")
    other.start(wait=False)

    assert other.wait_for_end() == 1
    (line,) = other.lines
    assert f"{host}:{port}" in line
    assert "TOLLBELL_SIP_UDP" in line


def test_a_taken_control_port_is_one_clear_line(
    proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path
) -> None:
    host, port = proxy.control_address
    other = ProxyProcess(tmp_path / "other", billing, TOLLBELL_CONTROL_HTTP=f"{host}:{port}")
    other.start(wait=False)

    assert other.wait_for_end() == 1
    assert any("TOLLBELL_CONTROL_HTTP" in line for line in other.lines)


def test_a_foreign_directory_is_refused_and_said_so_once(tmp_path: Path, billing: FakeBilling) -> None:
    proxy = ProxyProcess(tmp_path / "var", billing, TOLLBELL_SIP_DOMAIN="elsewhere.example")
    proxy.start(wait=False)
    try:
        (line,) = eventually(lambda: proxy.events("directory_refused"), "it is refused", 20)
        assert "TOLLBELL_SIP_DOMAIN" in line["error"]
        os.kill(proxy.pid, signal.SIGTERM)
        assert proxy.wait_for_end() == 0
        assert not proxy.events("listening")
    finally:
        proxy.kill()


def test_two_exchanges_do_not_share_a_journal(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with pytest.raises(AssertionError, match="no other exchange"), running_proxy(proxy.var, billing):
        pass
