"""SIP passwords: drawn at random, kept only as digests of the user, the realm and the password."""

import hashlib
import secrets
import string
from dataclasses import dataclass

LENGTH = 16
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class DigestHashes:
    """HA1 for both digest algorithms that phones know (RFC 7616 §3.4.2, RFC 8760)."""

    ha1_md5: str
    ha1_sha256: str


def draw_password() -> str:
    """Return a new random password: 16 letters and digits, 95 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def digest_hashes(*, number: str, realm: str, password: str) -> DigestHashes:
    """Return what the exchange needs to check the password."""
    secret = f"{number}:{realm}:{password}".encode()
    return DigestHashes(
        ha1_md5=hashlib.md5(secret, usedforsecurity=False).hexdigest(),
        ha1_sha256=hashlib.sha256(secret).hexdigest(),
    )
