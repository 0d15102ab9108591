"""Calls through the real process over real sockets, and the records that billing gets of them."""

import time

import pytest

from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.socket_phone import call, hang_up, phone
from tests.support.system import eventually

TRANSPORTS = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")]


@pytest.mark.parametrize(("caller_over", "callee_over"), TRANSPORTS)
def test_a_call_becomes_one_record_with_its_true_duration(
    proxy: ProxyProcess, billing: FakeBilling, caller_over: str, callee_over: str
) -> None:
    with (
        phone("0001", "secret of 1", proxy.address(caller_over), caller_over) as caller,
        phone("0002", "secret of 2", proxy.address(callee_over), callee_over) as callee,
    ):
        assert callee.register().status == 200
        began = time.monotonic()
        answer = call(caller, callee)
        assert hang_up(caller, callee, answer).status == 200
        ended = time.monotonic()

        (record,) = billing.wait_for_records()
        assert (record["caller"], record["callee"]) == ("0001", "0002")
        assert (record["outcome"], record["status"], record["ended_by"]) == ("answered", 200, "caller")
        assert 0 <= record["duration_us"] / 1e6 <= ended - began
        assert record["duration_us"] > 0
        instants = ("invited_at", "ringing_at", "answered_at", "acknowledged_at", "ended_at")
        assert [record[name] for name in instants] == sorted(record[name] for name in instants)
        eventually(
            lambda: proxy.control("GET", "/health").body["undelivered_records"] == 0, "nothing is left over"
        )
    proxy.stop()
    assert (len(billing.records), billing.duplicates) == (1, 0)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_phone_registers_with_either_algorithm(proxy: ProxyProcess, algorithm: str) -> None:
    with phone("0001", "secret of 1", proxy.address("udp"), algorithm=algorithm) as one:
        assert one.register().status == 200
        (registration,) = proxy.control("GET", "/v1/registrations").body["items"]
        assert registration["number"] == "0001"
        assert registration["source"] == one.address


def test_a_wrong_password_is_refused_and_logged_once(proxy: ProxyProcess) -> None:
    with phone("0001", "guess", proxy.address("udp")) as one:
        assert one.register().status in (401, 403)

    assert proxy.control("GET", "/v1/registrations").body["items"] == []
    (line,) = eventually(lambda: proxy.events("security"), "the guess is logged")
    assert (line["kind"], line["number"], line["source"]) == ("wrong_password", "0001", one.address)
    assert "guess" not in "\n".join(proxy.lines)


def test_an_unknown_number_is_not_found(proxy: ProxyProcess, billing: FakeBilling) -> None:
    with phone("0001", "secret of 1", proxy.address("udp")) as caller:
        response = caller.authenticated("INVITE", "sip:7777@tollbell.local", call_id="nobody")
        if response.status == 100:
            response = caller.receive_final()
        caller.acknowledge(response, "sip:7777@tollbell.local", cseq=2)

    assert response.status == 404
    (record,) = billing.wait_for_records()
    assert (record["outcome"], record["status"], record["duration_us"]) == ("rejected", 404, 0)


def test_a_suspension_is_in_force_long_before_the_directory_would_be_asked_for_again(
    proxy: ProxyProcess, billing: FakeBilling
) -> None:
    billing.change_account("0001", state="suspended")

    def refused() -> bool:
        with phone("0001", "secret of 1", proxy.address("udp")) as caller:
            uri = "sip:0002@tollbell.local"
            response = caller.authenticated("INVITE", uri, call_id=f"suspended-{time.monotonic()}")
            if response.status == 100:
                response = caller.receive_final()
            caller.acknowledge(response, uri, cseq=2)
            return response.status == 403

    eventually(refused, "the suspended caller is refused", 10.0)


def test_a_full_exchange_says_so(proxy: ProxyProcess, billing: FakeBilling) -> None:
    billing.change_settings(concurrent_call_limit=0)

    def refused() -> bool:
        with phone("0001", "secret of 1", proxy.address("udp")) as caller:
            uri = "sip:0002@tollbell.local"
            response = caller.authenticated("INVITE", uri, call_id=f"full-{time.monotonic()}")
            if response.status == 100:
                response = caller.receive_final()
            caller.acknowledge(response, uri, cseq=2)
            return response.status == 503

    eventually(refused, "calls are refused", 1.0)


def test_wildcard_sockets_serve_ipv4_and_ipv6(
    billing: FakeBilling, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"TOLLBELL_SIP_UDP": "[::]:0", "TOLLBELL_SIP_TCP": "[::]:0"}
    with running_proxy(tmp_path_factory.mktemp("var"), billing, **settings) as proxy:
        udp, tcp = proxy.address("udp")[1], proxy.address("tcp")[1]
        with (
            phone("0001", "secret of 1", ("127.0.0.1", udp)) as caller,
            phone("0002", "secret of 2", ("::1", tcp), "tcp") as callee,
        ):
            assert callee.register().status == 200
            answer = call(caller, callee)
            assert "127.0.0.1" in answer.headers("Record-Route")[-1] + answer.headers("Record-Route")[0]
            assert hang_up(caller, callee, answer).status == 200
        billing.wait_for_records()
