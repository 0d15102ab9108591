"""An engine and a registrar: digest algorithms, refusals, and an exchange that goes away and comes back."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from softphone.engine import commands, events
from tests.integration.softphone.bare_registrar import BareRegistrar
from tests.support.softphone import Phone, phone


def test_registers_refreshes_and_unregisters_at_the_end(tmp_path: Path) -> None:
    with BareRegistrar(password="secret") as registrar:
        with phone("0001", "secret", server=registrar.server, directory=tmp_path) as alice:
            assert alice.register(expires_s=10) == events.Registered(number="0001", expires_s=10)
            # Refreshed before it expires (pjsip: five seconds before).
            alice.wait_for(events.Registered, timeout_s=10)

        first, *_, last = registrar.accepted()

    assert first.uri == "sip:tollbell.local"
    assert first.credentials["username"] == "0001"
    assert first.expires_s == 10
    assert last.expires_s == 0
    assert "secret" not in alice.log_path.read_text()


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("SHA-256", "MD5"), ("MD5", "SHA-256")])
def test_answers_every_kind_of_challenge(algorithms: tuple[str, ...], tmp_path: Path) -> None:
    with (
        BareRegistrar(password="secret", algorithms=algorithms) as registrar,
        phone("0001", "secret", server=registrar.server, directory=tmp_path) as alice,
    ):
        alice.register()

        # RFC 8760 §2.4: the topmost challenge that it understands.
        assert registrar.accepted()[-1].credentials["algorithm"] == algorithms[0]


def test_a_wrong_password_is_reported_and_not_tried_for_ever(tmp_path: Path) -> None:
    with (
        BareRegistrar(password="secret") as registrar,
        phone("0001", "wrong", server=registrar.server, directory=tmp_path) as alice,
    ):
        failed = alice.register_in_vain()

        assert failed == events.RegistrationFailed(
            number="0001", status=401, reason="Unauthorized", retrying=False
        )
        assert len(registrar.requests) <= 3


def test_registers_again_with_an_exchange_that_was_away(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with BareRegistrar(password="secret") as before:
            alice = stack.enter_context(phone("0001", "secret", server=before.server, directory=tmp_path))
            alice.register(expires_s=8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", before.port))
            nobody.settimeout(10)
            while not nobody.recv(65536).startswith(b"REGISTER"):
                pass
        after = stack.enter_context(BareRegistrar(password="secret", port=before.port))

        alice.wait_for(events.Registered, timeout_s=15)

        assert after.accepted()
        alice.close()  # before its registrar goes


def test_another_number_takes_the_place_of_the_first(tmp_path: Path) -> None:
    with (
        BareRegistrar(password="secret") as registrar,
        phone("0001", "secret", server=registrar.server, directory=tmp_path) as alice,
    ):
        alice.register()
        alice.engine.send(
            commands.Register(
                number="0007", password="secret", server=registrar.server, domain="tollbell.local"
            )
        )

        assert alice.wait_for(events.Registered).number == "0007"


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ('Reason: Q.850;cause=1;text="There is no number 0009"', "There is no number 0009"),
        ('Warning: 399 tollbell.local "There is no number \\"0009\\""', 'There is no number "0009"'),
        ("Server: Tollbell", ""),
    ],
)
def test_a_refused_call_tells_why(header: str, detail: str, tmp_path: Path) -> None:
    with (
        BareRegistrar(password="secret", refuse_calls_with=("SIP/2.0 404 Not Found", header)) as registrar,
        phone("0001", "secret", server=registrar.server, directory=tmp_path) as alice,
    ):
        alice.register()
        alice.call("0009")

        ended = alice.wait_for_end()

        assert (ended.status, ended.reason, ended.detail) == (404, "Not Found", detail)
        invite = next(request for request in registrar.requests if request.method == "INVITE")
        assert invite.uri == "sip:0009@tollbell.local"
        assert "<sip:0001@tollbell.local>" in invite.headers["from"]


def test_service_codes_with_a_hash_sign_are_called_escaped(tmp_path: Path) -> None:
    with (
        BareRegistrar(password="secret") as registrar,
        phone("0001", "secret", server=registrar.server, directory=tmp_path) as alice,
    ):
        alice.register()
        alice.call("*21#")
        alice.wait_for_end()

        invite = next(request for request in registrar.requests if request.method == "INVITE")
        assert invite.uri == "sip:*21%23@tollbell.local"


def test_an_exchange_that_is_not_there_is_tried_again(tmp_path: Path, silent_port: int) -> None:
    with phone(
        "0001", "secret", server=f"127.0.0.1:{silent_port}", transport="tcp", directory=tmp_path
    ) as alice:
        failed = alice.register_in_vain()

        assert failed.retrying
        assert failed.status == 503
        assert_says_so_again(alice)


def assert_says_so_again(alice: Phone) -> None:
    assert alice.wait_for(events.RegistrationFailed).retrying
