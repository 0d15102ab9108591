"""Who is calling: challenges, and the judgement of the credentials that answer them (RFC 3261 §22)."""

import hmac
from collections.abc import Callable
from enum import Enum
from typing import Final

from sip_proxy.core.authentication.digest import Algorithm, DigestCredentials, compute_response, no_ones_ha1
from sip_proxy.core.authentication.nonce import NonceSource, NonceUse, NonceUses
from sip_proxy.core.authentication.offer import algorithms_for
from sip_proxy.core.authentication.uri_match import digest_uri_matches
from sip_proxy.core.remembering import remember

HashesOf = Callable[[str], tuple[str, str] | None]
"""From a user name to its HA1 by MD5 and by SHA-256, or None when there is no such user."""


class Verdict(Enum):
    """What credentials are worth."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    STALE = "stale"  # challenge again with stale=true; the phone answers by itself
    REPLAYED = "replayed"  # the nonce count was used before; challenge again with stale=true
    UNKNOWN_USER = "unknown_user"


class Judgement:
    """What credentials are worth, apart from whether they were used before."""

    __slots__ = ("nonce", "nonce_count", "verdict")

    def __init__(self, verdict: Verdict, nonce: tuple[int, int] = (0, 0), nonce_count: int = 0) -> None:
        self.verdict = verdict
        self.nonce = nonce
        self.nonce_count = nonce_count


_LONGEST_LOOKED_AT: Final = 64  # of a User-Agent

_ACCEPTED: Final = Verdict.ACCEPTED
_REPLAYED: Final = NonceUse.REPLAYED
_MD5: Final = Algorithm.MD5
_STALE: Final = Judgement(Verdict.STALE)
_WRONG: Final = Judgement(Verdict.WRONG)
_UNKNOWN_USER: Final = Judgement(Verdict.UNKNOWN_USER)


class Authenticator:
    """Challenges phones and judges their answers."""

    __slots__ = ("_nonces", "_offers", "_realm", "_uses")

    def __init__(self, *, realm: str, secret: bytes, random_bytes: Callable[[int], bytes]) -> None:
        if '"' in realm or "\\" in realm:
            raise ValueError("A realm with a quote or a backslash can't be written in a challenge")
        self._realm = realm
        self._nonces = NonceSource(secret=secret, random_bytes=random_bytes)
        self._uses = NonceUses(on_full=self._nonces.disown_all)
        self._offers: dict[tuple[str, str, bool], tuple[str, ...]] = {}

    def challenges(
        self, name: str, now: float, *, stale: bool = False, user_agent: str = "", source: str = ""
    ) -> str:
        """Return the header lines of a challenge, with CRLF between them: `name` is that of each header.

        They share one nonce: a phone answers one of them. `stale` tells it that its password was not at
        fault. `user_agent` is the header of the request, which decides what is offered and in what order.
        `source` is the address of the phone: from another the nonce is stale.
        """
        return self._nonces.make(now, source).join(self._offer(name, user_agent[:_LONGEST_LOOKED_AT], stale))

    def _offer(self, name: str, user_agent: str, stale: bool) -> tuple[str, ...]:
        """Return the lines of a challenge, cut where the nonce goes: phones of a kind get the same."""
        key = (name, user_agent, stale)
        known = self._offers.get(key)
        if known is not None:
            return known
        head = f'{name}: Digest realm="{self._realm}", nonce="'
        end = ", stale=true" if stale else ""
        *others, last = [f'", algorithm={each.value}, qop="auth"{end}' for each in algorithms_for(user_agent)]
        offer = (head, *(f"{tail}\r\n{head}" for tail in others), last)
        return remember(self._offers, key, offer, 512)

    def verify(
        self,
        credentials: DigestCredentials,
        *,
        method: str,
        request_uri: str,
        ha1_for: HashesOf,
        now: float,
        source: str = "",
    ) -> Verdict:
        """Judge the credentials of a request, and use up their nonce count when they are good."""
        judgement = self.judge(
            credentials, method=method, request_uri=request_uri, ha1_for=ha1_for, now=now, source=source
        )
        return self.use_up(judgement) if judgement.verdict is _ACCEPTED else judgement.verdict

    def judge(
        self,
        credentials: DigestCredentials,
        *,
        method: str,
        request_uri: str,
        ha1_for: HashesOf,
        now: float,
        source: str = "",
    ) -> Judgement:
        """Judge the credentials of a request; `now` is in seconds on the clock that `challenges` was given.

        Credentials for another realm or another URI are `WRONG`. A nonce that we didn't make is `STALE`,
        found before any password is looked at: RFC 7616 §3.3 allows it, and forged requests stay cheap.
        Whether they were used before is for `use_up` to say.
        """
        nonce = self._nonces.recognise(credentials.nonce, now, source)
        if nonce is None:
            return _STALE
        if credentials.realm != self._realm or not digest_uri_matches(credentials.uri, request_uri):
            return _WRONG
        algorithm = credentials.algorithm
        hashes = ha1_for(credentials.username)
        md5, sha_256 = hashes or (no_ones_ha1(algorithm),) * 2
        expected = compute_response(
            algorithm=algorithm,
            ha1=md5 if algorithm is _MD5 else sha_256,
            method=method,
            uri=credentials.uri,
            nonce=credentials.nonce,
            nonce_count=credentials.nonce_count_text,
            cnonce=credentials.cnonce,
        )
        is_right = hmac.compare_digest(
            expected.encode(), credentials.response.lower().encode("utf-8", "surrogateescape")
        )
        if hashes is None:
            return _UNKNOWN_USER
        if not is_right:
            return _WRONG
        return Judgement(_ACCEPTED, nonce, credentials.nonce_count)

    def use_up(self, judgement: Judgement) -> Verdict:
        """Note that good credentials were used: `REPLAYED` when they had been before, else `ACCEPTED`."""
        if self._uses.use(judgement.nonce, judgement.nonce_count) is _REPLAYED:
            return Verdict.REPLAYED
        return _ACCEPTED
