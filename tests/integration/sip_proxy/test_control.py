"""The control API of the real process: what an operator sees while phones call, and what he can do."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.fake_billing import SERVICE_TOKEN, FakeBilling
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.socket_phone import call, hang_up, phone
from tests.support.system import eventually


class Events:
    """A watcher of the event stream."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def next(self) -> tuple[str, Any]:
        """Return the next event; comments are passed over."""
        kind = ""
        while True:
            line = self._response.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return kind, json.loads(line.removeprefix("data: "))

    def until(self, kind: str, **fields: Any) -> Any:
        """Return the data of the next event of this kind with these fields."""
        while True:
            its_kind, data = self.next()
            if its_kind == kind and fields.items() <= data.items():
                return data


@contextmanager
def watching(proxy: ProxyProcess) -> Iterator[Events]:
    connection = http.client.HTTPConnection(*proxy.control_address, timeout=5)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {SERVICE_TOKEN}"})
    try:
        yield Events(connection.getresponse())
    finally:
        connection.close()


def test_a_watcher_sees_registrations_and_calls_as_they_happen(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    with (
        watching(proxy) as events,
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        kind, first = events.next()
        assert (kind, first["calls"], first["registrations"]) == ("snapshot", [], [])
        assert first["state"]["online"] is True
        callee.register()
        registered = events.until("registration", number="0002")
        assert registered["registrations"][0]["source"] == callee.address

        began = time.monotonic()
        answer = call(caller, callee)
        states = [events.until("call")["state"] for _ in range(3)]
        assert states == ["inviting", "ringing", "answered"]
        assert time.monotonic() - began < 5.0
        with watching(proxy) as late:
            _, snapshot = late.next()
            assert snapshot["calls"][0]["state"] == "answered"
            assert snapshot["registrations"][0]["number"] == "0002"
        hang_up(caller, callee, answer)
        assert events.until("call")["state"] == "ended"

        callee.register(expires=0)
        assert events.until("registration", number="0002")["registrations"] == []
    with watching(proxy) as events, phone("0001", "guess", proxy.address("udp")) as stranger:
        stranger.register()
        attack = events.until("security")
        assert (attack["kind"], attack["number"]) == ("wrong_password", "0001")


def test_an_operator_ends_a_call_that_rings(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        caller.authenticated("INVITE", "sip:0002@tollbell.local", call_id="rings")
        invite = callee.expect_request("INVITE")
        callee.respond(invite, 180, "Ringing")
        assert caller.receive().status == 180
        (live,) = proxy.control("GET", "/v1/calls").body["items"]
        assert live["state"] == "ringing"

        assert proxy.control("DELETE", f"/v1/calls/{live['id']}").status == 202
        callee.expect_request("CANCEL")
        callee.respond(invite, 487, "Request Terminated")
        assert caller.receive_final().status >= 400
        (record,) = billing.wait_for_records()
    assert (record["record_id"], record["ended_by"], record["duration_us"]) == (live["id"], "exchange", 0)
    assert proxy.control("GET", "/v1/calls").body["items"] == []
    assert proxy.control("DELETE", f"/v1/calls/{live['id']}").status == 404


def test_an_operator_ends_a_call_that_is_talked_on(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        call(caller, callee)
        (live,) = proxy.control("GET", "/v1/calls").body["items"]
        assert proxy.control("DELETE", f"/v1/calls/{live['id']}").status == 202
        for one in (caller, callee):
            one.respond(one.expect_request("BYE"), 200, "OK")
        (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("answered", "exchange")
    assert record["duration_us"] > 0


def test_an_operator_ends_all_calls(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
    ):
        callee.register()
        call(caller, callee)
        assert proxy.control("DELETE", "/v1/calls").body == {"ended": 1}
        for one in (caller, callee):
            one.respond(one.expect_request("BYE"), 200, "OK")
        (record,) = billing.wait_for_records()
        assert proxy.control("DELETE", "/v1/calls").body == {"ended": 0}

    assert (record["outcome"], record["ended_by"]) == ("answered", "exchange")


def test_offline_refuses_calls_and_ends_those_in_progress_when_the_drain_time_is_over(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    with (
        watching(proxy) as events,
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("udp")) as callee,
        phone("0002", "secret of 2", proxy.address("udp")) as late,
    ):
        callee.register()
        call(caller, callee)
        state = proxy.control("PUT", "/v1/state", {"online": False, "drain_minutes": 1 / 60}).body
        assert (state["online"], state["live_calls"]) == (False, 1)
        assert 0 < state["drain_remaining_s"] <= 1
        assert events.until("state")["drain_ends_at"] == state["drain_ends_at"]
        assert late.authenticated("INVITE", "sip:0001@tollbell.local", call_id="late").status == 503
        for one in (caller, callee):
            one.respond(one.expect_request("BYE"), 200, "OK")
        records = billing.wait_for_records(2)
        assert proxy.control("GET", "/v1/state").body["drain_remaining_s"] is None

        assert proxy.control("PUT", "/v1/state", {"online": True}).body["online"] is True
        hang_up(caller, callee, call(caller, callee))
        billing.wait_for_records(3)
    assert sorted(record["outcome"] for record in records) == ["answered", "rejected"]


def test_an_operator_tests_and_resets_a_phone(proxy: ProxyProcess) -> None:
    with watching(proxy) as events, phone("0002", "secret of 2", proxy.address("udp")) as one:
        assert proxy.control("POST", "/v1/phones/0002/test").status == 404
        one.register()
        assert proxy.control("POST", "/v1/phones/0002/test").status == 202
        one.respond(one.expect_request("OPTIONS"), 200, "OK")
        told = events.until("phone_test", number="0002")
        assert (told["ok"], told["status"], told["in_service"]) == (True, 200, True)
        assert 0 < told["round_trip_ms"] < 5000
        assert proxy.control("GET", "/v1/phone-tests").body["items"] == [told]

        assert proxy.control("POST", "/v1/phone-tests").body == {"numbers": 1}
        one.respond(one.expect_request("OPTIONS"), 200, "OK")
        events.until("phone_test", number="0002")

        assert proxy.control("POST", "/v1/phones/0002/reset").status == 202
        reset = one.expect_request("NOTIFY")
        assert reset.header("Event").startswith("check-sync")
        one.respond(reset, 200, "OK")


def test_phones_are_tested_by_themselves(billing: FakeBilling, tmp_path: Path) -> None:
    with (
        running_proxy(tmp_path / "var", billing) as proxy,
        phone("0002", "secret of 2", proxy.address("udp")) as one,
    ):
        one.register()
        billing.change_settings(phone_test_interval_s=1)
        for _ in range(2):
            one.respond(one.expect_request("OPTIONS"), 200, "OK")


def test_the_messages_of_a_call_as_a_ladder(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with (
        phone("0001", "secret of 1", proxy.address("udp")) as caller,
        phone("0002", "secret of 2", proxy.address("tcp"), "tcp") as callee,
    ):
        callee.register()
        answer = call(caller, callee, call_id="ladder@here")
        (live,) = proxy.control("GET", "/v1/calls").body["items"]
        text = proxy.control("GET", f"/v1/calls/{live['id']}/ladder").body
        for wanted in ("ladder@here", "0002", caller.address, callee.address, "407 Proxy", "180 Ringing"):
            assert wanted in text
        hang_up(caller, callee, answer)
        billing.wait_for_records()
    later = proxy.control("GET", "/v1/calls/ladder@here/ladder").body
    assert later.count("BYE") == 4  # in, out, and their answers
    assert later.count(" INVITE ") == 3
    assert proxy.control("GET", "/v1/calls/ladder@here/ladder?format=svg").body.startswith("<svg")
    assert proxy.control("GET", "/v1/calls/never/ladder").status == 404


def test_metrics_count_what_happened(proxy: ProxyProcess, billing: FakeBilling) -> None:
    # Over TCP, where nothing is sent again on a busy machine.
    with (
        phone("0001", "secret of 1", proxy.address("tcp"), "tcp") as caller,
        phone("0002", "secret of 2", proxy.address("tcp"), "tcp") as callee,
    ):
        callee.register()
        hang_up(caller, callee, call(caller, callee))
        billing.wait_for_records()
        text = proxy.control("GET", "/metrics", token=None).body

    for line in (
        'tollbell_call_attempts_total{outcome="answered"} 1.0',
        "tollbell_live_calls 0.0",
        "tollbell_registrations 1.0",
        'tollbell_connections{transport="TCP"} 2.0',
        "tollbell_journal_available 1.0",
        "tollbell_engine_errors_total 0.0",
        'tollbell_requests_received_total{method="INVITE"} 2.0',
        'tollbell_requests_received_total{method="REGISTER"} 2.0',
        'tollbell_responses_sent_total{status="407"} 1.0',
        'tollbell_responses_sent_total{status="180"} 1.0',
        "tollbell_call_ringing_seconds_count 1.0",
        "tollbell_journal_wait_seconds_count 3.0",
        "tollbell_journal_waiting_facts 0.0",
        "tollbell_online 1.0",
    ):
        assert line in text.splitlines()


def test_nobody_without_the_token_ends_a_call(proxy: ProxyProcess) -> None:
    assert proxy.control("GET", "/v1/calls", token=None).status == 401
    assert proxy.control("DELETE", "/v1/calls/x", token="wrong").status == 401
    assert proxy.control("GET", "/health", token=None).status == 200


def test_the_console_log_is_one_line_per_event(tmp_path: Path, billing: FakeBilling) -> None:
    proxy = ProxyProcess(tmp_path / "var", billing, TOLLBELL_LOG="console")
    proxy.start(wait=False)
    try:
        eventually(lambda: any("listening" in line for line in proxy.lines), "it listens")
        (line,) = proxy.lines
        assert "tollbell.local" in line
    finally:
        proxy.kill()
