"""Challenges and the judgement of what answers them (RFC 3261 §22, RFC 7616, RFC 8760)."""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sip_proxy.core.authentication import digest
from sip_proxy.core.authentication.authenticator import Authenticator, Verdict
from sip_proxy.core.authentication.digest import Algorithm, compute_response, parse_credentials
from sip_proxy.core.authentication.nonce import NONCE_LIFETIME_S

REALM = "tollbell.local"
PASSWORD = "secret"
URI = "sip:0002@tollbell.local"
HASHES = {Algorithm.MD5: hashlib.md5, Algorithm.SHA_256: hashlib.sha256}


def make_authenticator() -> Authenticator:
    return Authenticator(realm=REALM, secret=b"s", random_bytes=bytes)


def ha1_for(number: str) -> tuple[str, str] | None:
    if number != "0001":
        return None
    text = f"{number}:{REALM}:{PASSWORD}".encode()
    return hashlib.md5(text).hexdigest(), hashlib.sha256(text).hexdigest()


def challenges_of(authenticator: Authenticator, *, stale: bool = False, user_agent: str = "") -> list[str]:
    """The values of the headers of a challenge."""
    text = authenticator.challenges("WWW-Authenticate", 10.0, stale=stale, user_agent=user_agent)
    return [line.removeprefix("WWW-Authenticate: ") for line in text.split("\r\n")]


def answer(
    challenge: str,
    *,
    number: str = "0001",
    password: str = PASSWORD,
    method: str = "INVITE",
    uri: str = URI,
    count: int = 1,
    realm: str = REALM,
) -> str:
    """Answer a challenge as a phone does."""
    nonce = re.search(r'nonce="([^"]+)"', challenge)
    token = re.search(r"algorithm=([A-Z0-9-]+)", challenge)
    assert nonce is not None
    assert token is not None
    algorithm = Algorithm(token[1])
    response = compute_response(
        algorithm=algorithm,
        ha1=HASHES[algorithm](f"{number}:{realm}:{password}".encode()).hexdigest(),
        method=method,
        uri=uri,
        nonce=nonce[1],
        nonce_count=f"{count:08x}",
        cnonce="c",
    )
    return (
        f'Digest username="{number}", realm="{realm}", nonce="{nonce[1]}", uri="{uri}", '
        f'response="{response}", algorithm={algorithm.value}, cnonce="c", qop=auth, nc={count:08x}'
    )


def judge(
    authenticator: Authenticator,
    value: str,
    *,
    method: str = "INVITE",
    uri: str = URI,
    now: float = 10.0,
    hashes: Callable[[str], tuple[str, str] | None] = ha1_for,
) -> Verdict:
    return authenticator.verify(
        parse_credentials(value), method=method, request_uri=uri, ha1_for=hashes, now=now
    )


MD5_CHALLENGE = r'Digest realm="tollbell\.local", nonce="[A-Za-z0-9+/]{32}", algorithm=MD5, qop="auth"'
SHA_256_CHALLENGE = MD5_CHALLENGE.replace("MD5", "SHA-256")


def test_offers_md5_first_because_many_phones_take_the_first_or_fail() -> None:
    md5, sha_256 = challenges_of(make_authenticator())

    assert re.fullmatch(MD5_CHALLENGE, md5)
    assert re.fullmatch(SHA_256_CHALLENGE, sha_256)


def test_offers_the_strongest_first_to_a_phone_that_knows_it() -> None:
    sha_256, md5 = challenges_of(make_authenticator(), user_agent="Linphone/5.2.0 (belle-sip)")

    assert re.fullmatch(SHA_256_CHALLENGE, sha_256)
    assert re.fullmatch(MD5_CHALLENGE, md5)


@pytest.mark.parametrize("user_agent", ["baresip v1.0.0 (x86_64/linux)", "JsSIP 3.13.8", "SIP.js/0.21.2"])
def test_offers_nothing_but_md5_to_a_phone_that_chokes_on_anything_else(user_agent: str) -> None:
    (md5,) = challenges_of(make_authenticator(), user_agent=user_agent)

    assert re.fullmatch(MD5_CHALLENGE, md5)


def test_a_stale_challenge_says_so() -> None:
    assert all(value.endswith(", stale=true") for value in challenges_of(make_authenticator(), stale=True))


def test_a_realm_that_cannot_be_quoted_is_refused() -> None:
    with pytest.raises(ValueError, match="realm"):
        Authenticator(realm='a"b', secret=b"s", random_bytes=bytes)


@pytest.mark.parametrize("choice", [0, 1])
def test_the_right_password_is_accepted_by_either_algorithm(choice: int) -> None:
    authenticator = make_authenticator()

    assert judge(authenticator, answer(challenges_of(authenticator)[choice])) is Verdict.ACCEPTED


def test_upper_case_hex_digits_are_accepted() -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[0])
    response = re.search(r'response="([^"]+)"', value)
    assert response is not None

    assert judge(authenticator, value.replace(response[1], response[1].upper())) is Verdict.ACCEPTED


@pytest.mark.parametrize("choice", [0, 1])
def test_a_wrong_password_is_wrong(choice: int) -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[choice], password="guess")

    assert judge(authenticator, value) is Verdict.WRONG


def test_an_unknown_user_is_told_apart_but_hashed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def spied(make_hash: Callable[[bytes], Any], data: bytes) -> Any:
        hashed.append(data)
        return make_hash(data)

    for algorithm, make_hash in list(digest._HASH.items()):
        monkeypatch.setitem(digest._HASH, algorithm, partial(spied, make_hash))
    authenticator = make_authenticator()
    offer = challenges_of(authenticator)[0]

    def hashes_for(number: str) -> tuple[Verdict, int]:
        value = answer(offer, number=number, password="wrong")
        hashed.clear()
        verdict = judge(authenticator, value)
        return verdict, len(hashed)

    known, unknown = hashes_for("0001"), hashes_for("9999")
    assert (known[0], unknown[0]) == (Verdict.WRONG, Verdict.UNKNOWN_USER)
    assert known[1] == unknown[1] > 0


def test_credentials_for_another_method_are_wrong() -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[0], method="REGISTER")

    assert judge(authenticator, value, method="INVITE") is Verdict.WRONG


def test_credentials_for_another_number_dialled_are_wrong() -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[0])

    assert judge(authenticator, value, uri="sip:0900@tollbell.local") is Verdict.WRONG


def test_credentials_for_another_realm_are_wrong() -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[0], realm="elsewhere")

    assert judge(authenticator, value) is Verdict.WRONG


def test_a_response_with_characters_outside_ascii_is_wrong_and_harmless() -> None:
    authenticator = make_authenticator()
    value = re.sub(r'response="[^"]+"', 'response="é\udcff"', answer(challenges_of(authenticator)[0]))

    assert judge(authenticator, value) is Verdict.WRONG


def test_an_old_nonce_is_stale_even_with_the_right_password() -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[0])

    assert judge(authenticator, value, now=10.0 + NONCE_LIFETIME_S) is Verdict.STALE


def test_a_forged_nonce_is_stale_without_a_look_at_the_password() -> None:
    def never(number: str) -> tuple[str, str] | None:
        raise AssertionError(f"looked up {number}")

    value = answer('Digest nonce="made up", algorithm=MD5')

    assert judge(make_authenticator(), value, hashes=never) is Verdict.STALE


def test_the_same_credentials_twice_are_a_replay() -> None:
    authenticator = make_authenticator()
    value = answer(challenges_of(authenticator)[0])
    judge(authenticator, value)

    assert judge(authenticator, value) is Verdict.REPLAYED


def test_a_nonce_may_be_used_again_with_the_next_count() -> None:
    authenticator = make_authenticator()
    challenge = challenges_of(authenticator)[0]

    assert [judge(authenticator, answer(challenge, count=count)) for count in (1, 2, 3)] == [
        Verdict.ACCEPTED
    ] * 3


def test_a_wrong_password_uses_up_no_count() -> None:
    authenticator = make_authenticator()
    challenge = challenges_of(authenticator)[0]
    judge(authenticator, answer(challenge, password="guess"))

    assert judge(authenticator, answer(challenge)) is Verdict.ACCEPTED
