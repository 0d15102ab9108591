"""How webhooks are signed, and when one that does not answer is tried again.

The signature is that of the Standard Webhooks specification, 1.0: HMAC-SHA256 over
`id.timestamp.body`, so that receivers can use one of its libraries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
SECRET_OVERLAP: Final = timedelta(hours=24)
"""How long after a change of the secret what is sent is signed with both."""

FIRST_RETRY: Final = timedelta(seconds=5)
LONGEST_RETRY: Final = timedelta(hours=12)
LONGEST_PAUSE: Final = timedelta(minutes=10)
MOST_ATTEMPTS: Final = 15
"""With these figures the last attempt comes about three days after the first."""


def make_secret(random: bytes) -> str:
    """Write random bytes as a secret."""
    assert len(random) == SECRET_BYTES
    return SECRET_PREFIX + base64.b64encode(random).decode()


def without_secrets(url: str) -> str:
    """A webhook's address for those who may not use it: what follows the path, often a token, is left out.

    `https://example.com/hook?token=x` becomes `https://example.com/hook?…`; so does a name and password in
    front of the host, which older releases took.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    rest = "?…" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{host}{parts.path}{rest}"


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature, `v1,` and base64, over a message sent at a Unix time.

    Raises ValueError when the secret is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook's secret is whsec_ and base64") from error
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signed_headers(secrets: Iterable[str], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers that let a receiver check who sent a message, which, and when."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            sign(secret, message_id=message_id, timestamp=timestamp, body=body) for secret in secrets
        ),
    }


def retry_after(attempts: int, *, chance: int) -> timedelta | None:
    """How long to wait after so many vain attempts; None: give up.

    Each wait is three times the one before. `chance`, from 0 to 100, spreads them over 20 % each way, so
    that receivers that failed together are not tried together.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    plain: timedelta = min(FIRST_RETRY * 3 ** min(attempts - 1, 20), LONGEST_RETRY)
    return plain * (200 + chance) / 250


def pause_after(failures: int) -> timedelta:
    """How long to leave a receiver alone that failed so often in a row, whatever waits for it.

    A few failures are the fault of one message; more are the receiver's.
    """
    if failures < 5:
        return timedelta()
    pause: timedelta = min(FIRST_RETRY * 2 ** min(failures - 5, 20), LONGEST_PAUSE)
    return pause
