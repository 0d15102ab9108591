"""Signatures of webhooks, and when a silent one is tried again."""

from datetime import timedelta

import pytest

from billing_service.domain.webhook import (
    LONGEST_RETRY,
    MOST_ATTEMPTS,
    make_secret,
    pause_after,
    retry_after,
    sign,
    signed_headers,
    without_secrets,
)


def test_the_signature_is_that_of_the_specification() -> None:
    # The example of the Standard Webhooks specification and its libraries.
    assert (
        sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp=1614265330,
            body=b'{"test": 2432232314}',
        )
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_two_secrets_make_two_signatures_of_the_same_message() -> None:
    old, new = make_secret(b"o" * 32), make_secret(b"n" * 32)

    headers = signed_headers([new, old], message_id="m", timestamp=1, body=b"{}")

    first, second = headers["webhook-signature"].split(" ")
    assert first == sign(new, message_id="m", timestamp=1, body=b"{}")
    assert second == sign(old, message_id="m", timestamp=1, body=b"{}")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("m", "1")


def test_every_part_of_the_message_is_signed() -> None:
    secret = make_secret(b"s" * 32)
    messages = [("a", 1, b"x"), ("b", 1, b"x"), ("a", 2, b"x"), ("a", 1, b"y")]

    signatures = {sign(secret, message_id=name, timestamp=at, body=body) for name, at, body in messages} | {
        sign(make_secret(b"t" * 32), message_id="a", timestamp=1, body=b"x")
    }

    assert len(signatures) == 5


def test_a_secret_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        sign("whsec_!", message_id="m", timestamp=1, body=b"")


@pytest.mark.parametrize(("chance", "days"), [(0, 2.4), (50, 3.0), (100, 3.6)])
def test_attempts_go_on_for_about_three_days(chance: int, days: float) -> None:
    waits = [retry_after(attempts, chance=chance) for attempts in range(1, MOST_ATTEMPTS)]
    real = [wait for wait in waits if wait is not None]

    assert len(real) == MOST_ATTEMPTS - 1
    assert retry_after(MOST_ATTEMPTS, chance=chance) is None
    assert sum(real, timedelta()) / timedelta(days=1) == pytest.approx(days, abs=0.25)


def test_waits_grow_and_have_an_end() -> None:
    waits = [retry_after(attempts, chance=50) for attempts in range(1, MOST_ATTEMPTS)]

    assert waits[:3] == [timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=45)]
    assert waits[-1] == LONGEST_RETRY


def test_a_receiver_is_left_alone_only_after_failing_again_and_again() -> None:
    assert [pause_after(failures).total_seconds() for failures in (1, 4, 5, 6, 7)] == [0, 0, 5, 10, 20]
    assert pause_after(10**9) == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/hook?token=secret&x=1", "https://example.com/hook?…"),
        ("https://example.com:8443/a/b", "https://example.com:8443/a/b"),
        ("http://user:secret@[::1]:80/hook", "http://[::1]:80/hook"),
        ("https://example.com?secret", "https://example.com?…"),
        ("https://example.com/#secret", "https://example.com/?…"),
        ("https://example.com", "https://example.com"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
