"""Who sends this request? Digest authentication of requests (RFC 3261 §22), and who gets no answer at all."""

import re
from collections.abc import Callable
from typing import Final

from sip_proxy.core.authentication.authenticator import Authenticator, Judgement, Verdict
from sip_proxy.core.authentication.digest import DigestCredentials, MalformedCredentials, parse_credentials
from sip_proxy.core.authentication.sources import Sources
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Flow
from sip_proxy.core.message.grammar import printable
from sip_proxy.core.message.message import Request
from sip_proxy.core.outputs import SecurityEventKind
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.remembering import remember

# What the tools of those who look for exchanges to break into call themselves, unless somebody changed it.
_SCANNERS: Final = re.compile(
    r"friendly-(?:scanner|request)|sipvicious|sundayddr|sip-?scan|sipcli|iWar|siparmyknife|smap|pplsip",
    re.IGNORECASE,
)
_LONGEST_TOLD: Final = 64
_USUAL_USER_PART: Final = re.compile(r"[^<]*<sip:([^@;?>\s]*)")
_USER_PART: Final = re.compile(r"(?:sips?|tel):([^@;?>\s]*)", re.IGNORECASE)

_ACCEPTED: Final = Verdict.ACCEPTED


class Gatekeeper:
    """Lets requests pass that prove who sent them, and challenges the others.

    Challenges need no transaction: a retransmitted request is simply challenged again, so strangers can't
    make us keep anything (§26.3.2.4). Before a request has proved who sent it, it is answered alike whether
    the number that it names exists or not.
    """

    __slots__ = ("_authenticator", "_exchange", "_sources")

    def __init__(self, exchange: Exchange, random_bytes: Callable[[int], bytes]) -> None:
        self._exchange = exchange
        config = exchange.config
        self._authenticator = Authenticator(
            realm=config.domain, secret=config.nonce_secret, random_bytes=random_bytes
        )
        self._sources = Sources()

    def is_trusted(self, host: str, now: float) -> bool:
        """Tell whether an account has lately proved itself from this IP address."""
        return self._sources.is_trusted(host, now)

    def trust(self, host: str, number: str, now: float) -> None:
        """An account proved itself from this IP address before a restart."""
        self._sources.authenticated(host, number, now)

    def ignores(self, request: Request, flow: Flow, now: float) -> bool:
        """Tell whether a request is not to be answered: those who search for exchanges shall find nothing."""
        at = request.shape.at
        has_credentials = "authorization" in at or "proxy-authorization" in at
        return self.ignores_sender(request.first("user-agent"), flow, now, has_credentials=has_credentials)

    def ignores_sender(
        self, user_agent: str | None, flow: Flow, now: float, *, has_credentials: bool
    ) -> bool:
        """As `ignores`, for a request with this User-Agent."""
        host = flow.remote[0]
        if self._sources.is_silenced(host, now, has_credentials=has_credentials):
            return True
        if user_agent is None or not _is_scanner(user_agent[:_LONGEST_TOLD]):
            return False
        if self._sources.is_first_sight(host, now):
            self._exchange.report(
                SecurityEventKind.SCANNER, flow, "", f"A scanner: {printable(user_agent, 64)}"
            )
        return True

    def identify(self, request: Request, flow: Flow, now: float) -> str | None:
        """Return the number of the account that sent the request, or None when it was answered here.

        REGISTER is answered 401, as by a server; other methods 407, as by a proxy.
        """
        is_register = request.method == "REGISTER"
        try:
            credentials = self._credentials(
                request, "authorization" if is_register else "proxy-authorization"
            )
        except MalformedCredentials as error:
            self._exchange.report(SecurityEventKind.MALFORMED_MESSAGE, flow, "", str(error))
            self._exchange.refuse(request, flow, Rejection(400, "Malformed credentials"))
            return None
        if credentials is None:
            self._ask_stranger(request, flow, now)
            return None
        host = flow.remote[0]
        number = credentials.username
        if self._sources.is_locked_out(host, number, now):
            self._challenge(request, flow, now, stale=False)
            return None
        verdict = self._authenticator.verify(
            credentials,
            method=request.method,
            request_uri=request.uri,
            ha1_for=self._ha1_for,
            now=now,
            source=host,
        )
        if verdict is _ACCEPTED:
            self._sources.authenticated(host, number, now)
            return number
        self._report(verdict, request, flow, number, now)
        stale = verdict in {Verdict.STALE, Verdict.REPLAYED}
        self._challenge(request, flow, now, stale=stale)
        return None

    def judge_register(
        self, credentials: DigestCredentials, request_uri: str, flow: Flow, now: float
    ) -> Judgement | None:
        """Judge the credentials of a REGISTER without noting anything; None: they are not to be looked at."""
        host = flow.remote[0]
        if self._sources.is_locked_out(host, credentials.username, now):
            return None
        return self._authenticator.judge(
            credentials,
            method="REGISTER",
            request_uri=request_uri,
            ha1_for=self._ha1_for,
            now=now,
            source=host,
        )

    def lets_pass(self, judgement: Judgement, number: str, flow: Flow, now: float) -> bool:
        """Use up good credentials of a number; False: they were used before, and nothing was noted."""
        if self._authenticator.use_up(judgement) is not Verdict.ACCEPTED:
            return False
        self._sources.authenticated(flow.remote[0], number, now)
        return True

    def stranger_challenge(
        self, name: str, number: str, user_agent: str | None, flow: Flow, now: float
    ) -> str | None:
        """Return the header lines of a challenge for a request of this number, which has no credentials.

        `name` is that of each header. None: it is not to be answered.
        """
        if self._asks_for_too_many(number, flow, now):
            return None
        return self._authenticator.challenges(name, now, user_agent=user_agent or "", source=flow.remote[0])

    def _report(self, verdict: Verdict, request: Request, flow: Flow, number: str, now: float) -> None:
        """Log what was wrong with credentials; what may be a guess counts against its source."""
        report = self._exchange.report
        shown, host = printable(number, 64), flow.remote[0]
        if verdict is Verdict.REPLAYED:
            report(SecurityEventKind.REPLAYED_NONCE, flow, shown, f"{request.method} with a used nonce")
        if verdict is Verdict.STALE or verdict is Verdict.REPLAYED:
            return
        is_unknown = verdict is Verdict.UNKNOWN_USER
        detail = f"{request.method} {'for an unknown number' if is_unknown else 'with a wrong password'}"
        report(SecurityEventKind.WRONG_PASSWORD, flow, shown, detail)
        lockout_s = self._sources.failed(host, number, now)
        if lockout_s:
            detail = f"Too many wrong passwords: not looked at from here for {lockout_s:.0f} s"
            report(SecurityEventKind.LOCKED_OUT, flow, shown, detail)
        if self._sources.guessed_at(host, number, now):
            detail = "Wrong passwords for many numbers: not answered for a while"
            report(SecurityEventKind.SCANNER, flow, "", detail)

    def _ask_stranger(self, request: Request, flow: Flow, now: float) -> None:
        """Challenge a request without credentials, unless its sender has tried too many numbers."""
        address = request.first("to" if request.method == "REGISTER" else "from") or ""
        match = _USUAL_USER_PART.match(address) or _USER_PART.search(address)
        if not self._asks_for_too_many("" if match is None else match[1], flow, now):
            self._challenge(request, flow, now, stale=False)

    def _asks_for_too_many(self, number: str, flow: Flow, now: float) -> bool:
        """Note a request without credentials; tell whether its source is to hear no more of them."""
        if not self._sources.asked_for(flow.remote[0], number, now):
            return False
        detail = "Asked for many numbers without a password: not answered for a while"
        self._exchange.report(SecurityEventKind.SCANNER, flow, "", detail)
        return True

    def is_ours(self, value: str) -> bool:
        """Tell whether the value of a `Proxy-Authorization` header is for our realm."""
        return f'"{self._exchange.config.domain}"' in value

    def _credentials(self, request: Request, key: str) -> DigestCredentials | None:
        """Find the credentials for our realm; raises MalformedCredentials when those are unusable."""
        value = request.first(key)
        if value is None:
            return None
        if self.is_ours(value):  # as nearly always: one proxy, one line
            return parse_credentials(value)
        for value in request.line_values(key):
            if self.is_ours(value):
                return parse_credentials(value)
        return None

    def _ha1_for(self, number: str) -> tuple[str, str] | None:
        account = self._exchange.directory.find(number)
        return None if account is None else (account.ha1_md5, account.ha1_sha256)

    def _challenge(self, request: Request, flow: Flow, now: float, *, stale: bool) -> None:
        is_register = request.method == "REGISTER"
        name = "WWW-Authenticate" if is_register else "Proxy-Authenticate"
        challenges = self._authenticator.challenges(
            name, now, stale=stale, user_agent=request.first("user-agent") or "", source=flow.remote[0]
        )
        self._exchange.answer(request, flow, 401 if is_register else 407, headers=challenges.split("\r\n"))


_scanners: Final[dict[str, bool]] = {}


def _is_scanner(user_agent: str) -> bool:
    known = _scanners.get(user_agent)
    if known is not None:
        return known
    return remember(_scanners, user_agent, _SCANNERS.match(user_agent) is not None, 1024)
