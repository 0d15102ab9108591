"""A phone in a browser (JsSIP, over WebSocket) and a desk phone (pjsua2, over UDP) call each other."""

from collections.abc import Iterator

import pytest

from tests.support.browser_phone import BrowserPhone, browser_phone
from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import ProxyProcess
from tests.support.softphone import Phone, phone
from tests.support.system import eventually


@pytest.fixture
def in_browser(proxy: ProxyProcess) -> Iterator[BrowserPhone]:
    with browser_phone(number="0001", password="secret1", server=proxy.address("ws")) as one:
        one.wait_for("registered")
        yield one


@pytest.fixture
def on_desk(proxy: ProxyProcess) -> Iterator[Phone]:
    host, port = proxy.address("udp")
    with phone("0002", "secret2", server=f"{host}:{port}") as one:
        one.register()
        yield one


def test_the_browser_calls_and_is_called(
    proxy: ProxyProcess, billing: FakeBilling, in_browser: BrowserPhone, on_desk: Phone
) -> None:
    by_number = {each["number"]: each for each in proxy.control("GET", "/v1/registrations").body["items"]}
    assert by_number["0001"]["transport"] == "WS"
    assert ".invalid" in by_number["0001"]["contact"]

    in_browser.dial("0002")
    ring = on_desk.wait_for_ring()
    assert "0001" in ring.number
    in_browser.wait_for("progress")
    on_desk.answer()
    in_browser.wait_for("confirmed")
    assert in_browser.hear()[0] >> 6 == 2  # RTP
    in_browser.hang_up()
    on_desk.wait_for_end()

    on_desk.call("0001")
    assert in_browser.wait_for("incoming") == "0002"
    in_browser.answer()
    on_desk.wait_until_talking()
    in_browser.wait_for("confirmed")
    on_desk.hang_up()
    assert in_browser.wait_for("ended") == "remote Terminated"

    first, second = sorted(billing.wait_for_records(2), key=lambda record: record["invited_at"])
    assert (first["caller"], first["callee"], first["outcome"]) == ("0001", "0002", "answered")
    assert first["ended_by"] == "caller"
    assert (second["caller"], second["callee"], second["outcome"]) == ("0002", "0001", "answered")
    assert second["ended_by"] == "caller"
    assert not proxy.events("engine_error")
    assert not proxy.events("security")


def test_an_administrator_ends_a_call_with_a_browser(
    proxy: ProxyProcess, billing: FakeBilling, in_browser: BrowserPhone, on_desk: Phone
) -> None:
    on_desk.call("0001")
    in_browser.wait_for("incoming")
    in_browser.answer()
    on_desk.wait_until_talking()
    (live,) = proxy.control("GET", "/v1/calls").body["items"]
    assert proxy.control("DELETE", f"/v1/calls/{live['id']}").status == 202
    in_browser.wait_for("ended")
    on_desk.wait_for_end()
    (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("answered", "exchange")


def test_a_browser_that_is_closed_is_no_longer_registered(proxy: ProxyProcess) -> None:
    with browser_phone(number="0001", password="secret1", server=proxy.address("ws")) as one:
        one.wait_for("registered")
        assert proxy.control("GET", "/v1/registrations").body["items"]
    eventually(lambda: not proxy.control("GET", "/v1/registrations").body["items"], "the binding is gone")


def test_a_wrong_password_does_not_register(proxy: ProxyProcess) -> None:
    with browser_phone(number="0001", password="guess", server=proxy.address("ws")) as one:
        one.wait_for("registrationFailed")
    assert proxy.control("GET", "/v1/registrations").body["items"] == []
    assert proxy.events("security", kind="wrong_password", number="0001", transport="WS")
