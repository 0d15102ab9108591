"""baresip calls baresip through the exchange, with sound in both directions."""

import re
import socket
import time
from pathlib import Path

import pytest

from tests.support.baresip import baresip
from tests.support.fake_billing import FakeBilling
from tests.support.proxy_process import ProxyProcess, running_proxy
from tests.support.socket_phone import phone
from tests.support.system import eventually

_OFFER = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


@pytest.mark.parametrize(
    ("caller_over", "callee_over"),
    [("udp", "udp"), ("tcp", "tcp"), ("tcp", "udp"), ("tls", "tls"), ("udp", "tls")],
)
def test_two_phones_talk(
    proxy: ProxyProcess,
    billing: FakeBilling,
    certificate: tuple[Path, Path],
    tmp_path: Path,
    caller_over: str,
    callee_over: str,
) -> None:
    with (
        baresip(
            tmp_path / "caller",
            number="0001",
            password="secret1",
            server=proxy.address(caller_over),
            transport=caller_over,
            certificate=certificate[0],
            tone_hz=600,
        ) as caller,
        baresip(
            tmp_path / "callee",
            number="0002",
            password="secret2",
            server=proxy.address(callee_over),
            transport=callee_over,
            certificate=certificate[0],
            tone_hz=1000,
            answers=True,
        ) as callee,
    ):
        caller.wait_until_registered()
        callee.wait_until_registered()
        caller.dial("0002")
        caller.wait_for("CALL_ESTABLISHED")
        callee.wait_for("CALL_ESTABLISHED")
        (live,) = proxy.control("GET", "/v1/calls").body["items"]
        assert (live["caller"], live["callee"], live["state"]) == ("0001", "0002", "answered")
        established = time.monotonic()
        time.sleep(1.5)  # they talk
        talked_s = time.monotonic() - established
        caller.hang_up()
        callee.wait_for("CALL_CLOSED")
        (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    assert talked_s <= record["duration_us"] / 1e6 <= talked_s + 2
    assert callee.heard_hz() == pytest.approx(600, rel=0.05)
    assert caller.heard_hz() == pytest.approx(1000, rel=0.05)
    assert proxy.events("security") == []


def test_the_called_phone_hangs_up(proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path) -> None:
    server = proxy.address("udp")
    with (
        baresip(
            tmp_path / "caller", number="0001", password="secret1", server=server, transport="udp"
        ) as caller,
        baresip(
            tmp_path / "callee", number="0002", password="secret2", server=server, transport="udp"
        ) as callee,
    ):
        callee.wait_until_registered()
        caller.dial("0002")
        callee.wait_for("CALL_INCOMING")
        callee.answer()
        caller.wait_for("CALL_ESTABLISHED")
        callee.hang_up()
        caller.wait_for("CALL_CLOSED")
        (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("answered", "callee")


def test_the_called_phone_declines(proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path) -> None:
    server = proxy.address("udp")
    with (
        baresip(
            tmp_path / "caller", number="0001", password="secret1", server=server, transport="udp"
        ) as caller,
        baresip(
            tmp_path / "callee", number="0002", password="secret2", server=server, transport="udp"
        ) as callee,
    ):
        callee.wait_until_registered()
        caller.dial("0002")
        callee.wait_for("CALL_INCOMING")
        callee.hang_up()
        caller.wait_for("CALL_CLOSED")
        (record,) = billing.wait_for_records()

    assert record["outcome"] in ("busy", "failed")
    assert record["duration_us"] == 0


def test_the_caller_gives_up_while_it_rings(
    proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path
) -> None:
    server = proxy.address("udp")
    with (
        baresip(
            tmp_path / "caller", number="0001", password="secret1", server=server, transport="udp"
        ) as caller,
        baresip(
            tmp_path / "callee", number="0002", password="secret2", server=server, transport="udp"
        ) as callee,
    ):
        callee.wait_until_registered()
        caller.dial("0002")
        caller.wait_for("CALL_RINGING")
        caller.hang_up()
        callee.wait_for("CALL_CLOSED")
        (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("cancelled", "caller")
    assert record["duration_us"] == 0


def test_an_administrator_ends_a_call(proxy: ProxyProcess, billing: FakeBilling, tmp_path: Path) -> None:
    server = proxy.address("udp")
    with (
        baresip(
            tmp_path / "caller", number="0001", password="secret1", server=server, transport="udp"
        ) as caller,
        baresip(
            tmp_path / "callee",
            number="0002",
            password="secret2",
            server=server,
            transport="udp",
            answers=True,
        ) as callee,
    ):
        callee.wait_until_registered()
        caller.dial("0002")
        caller.wait_for("CALL_ESTABLISHED")
        (live,) = eventually(
            lambda: [
                one for one in proxy.control("GET", "/v1/calls").body["items"] if one["state"] == "answered"
            ],
            "the call is live",
        )
        assert proxy.control("DELETE", f"/v1/calls/{live['id']}").status == 202
        caller.wait_for("CALL_CLOSED")
        callee.wait_for("CALL_CLOSED")
        (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("answered", "exchange")


def test_a_call_that_ended_past_the_exchange_is_not_charged_for_ever(
    billing: FakeBilling, tmp_path: Path
) -> None:
    """As baresip answers OPTIONS for as long as it lives, it must be asked in another way."""
    with (
        running_proxy(tmp_path / "var", billing, TOLLBELL_SIP_PING_S="1") as proxy,
        phone("0001", "secret1", proxy.address("udp")) as caller,
        baresip(
            tmp_path / "callee",
            number="0002",
            password="secret2",
            server=proxy.address("udp"),
            transport="udp",
            answers=True,
        ) as callee,
    ):
        callee.wait_until_registered()
        began = time.monotonic()
        caller.send_authenticated(
            "INVITE",
            "sip:0002@tollbell.local",
            call_id="past",
            headers=("Content-Type: application/sdp",),
            body=_OFFER,
        )
        answer = caller.receive_final()
        caller.send(caller.in_dialog("ACK", answer, cseq=2))
        callee.wait_for("CALL_ESTABLISHED")
        time.sleep(1.5)  # long enough for a question
        bye = caller.in_dialog("BYE", answer, cseq=3)
        contact = re.match(r"BYE sip:[^@ ]+@([0-9.]+):([0-9]+)", bye)
        assert contact is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as aside:
            aside.sendto(bye.encode(), (contact[1], int(contact[2])))
        callee.wait_for("CALL_CLOSED")
        lasted_s = time.monotonic() - began
        (record,) = billing.wait_for_records()

    assert (record["outcome"], record["ended_by"]) == ("answered", "exchange")
    assert 1 <= record["duration_us"] / 1e6 <= lasted_s


def test_a_wrong_password_does_not_register(proxy: ProxyProcess, tmp_path: Path) -> None:
    with baresip(
        tmp_path / "phone",
        number="0001",
        password="guess",
        server=proxy.address("udp"),
        transport="udp",
    ) as one:
        one.wait_until_said("401 Unauthorized")

    assert proxy.control("GET", "/v1/registrations").body["items"] == []
    assert proxy.events("security", kind="wrong_password", number="0001")
