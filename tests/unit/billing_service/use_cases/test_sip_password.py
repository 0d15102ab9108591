"""SIP passwords and their digests."""

from billing_service.use_cases.sip_password import LENGTH, digest_hashes, draw_password


def test_the_hashes_are_those_that_phones_compute() -> None:
    # RFC 7616 §3.9.1: user Mufasa, this realm and password; A1 hashed with either algorithm.
    hashes = digest_hashes(number="Mufasa", realm="http-auth@example.org", password="Circle of Life")
    assert hashes.ha1_md5 == "3d78807defe7de2157e2b0b6573a855f"
    assert hashes.ha1_sha256 == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"


def test_drawn_passwords_are_long_plain_and_different() -> None:
    drawn = {draw_password() for _ in range(100)}
    assert len(drawn) == 100
    assert all(len(password) == LENGTH and password.isascii() and password.isalnum() for password in drawn)
