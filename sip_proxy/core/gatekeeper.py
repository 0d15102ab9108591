"""Who sends this request? Digest authentication of requests (RFC 3261 §22)."""

from collections.abc import Callable

from sip_proxy.core.authentication.authenticator import Authenticator, Verdict
from sip_proxy.core.authentication.digest import DigestCredentials, MalformedCredentials, parse_credentials
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Flow
from sip_proxy.core.message.grammar import printable
from sip_proxy.core.message.message import Request
from sip_proxy.core.outputs import SecurityEventKind
from sip_proxy.core.rejection import Rejection


class Gatekeeper:
    """Lets requests pass that prove who sent them, and challenges the others.

    Challenges need no transaction: a retransmitted request is simply challenged again, so strangers can't
    make us keep anything (§26.3.2.4).
    """

    __slots__ = ("_authenticator", "_exchange")

    def __init__(self, exchange: Exchange, random_bytes: Callable[[int], bytes]) -> None:
        self._exchange = exchange
        config = exchange.config
        self._authenticator = Authenticator(
            realm=config.domain, secret=config.nonce_secret, random_bytes=random_bytes
        )

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
            self._challenge(request, flow, now, stale=False)
            return None
        verdict = self._authenticator.verify(
            credentials, method=request.method, request_uri=request.uri, ha1_for=self._ha1_for, now=now
        )
        if verdict is Verdict.ACCEPTED:
            return credentials.username
        number = printable(credentials.username, 64)
        if verdict is Verdict.REPLAYED:
            self._exchange.report(
                SecurityEventKind.REPLAYED_NONCE, flow, number, f"{request.method} with a used nonce"
            )
        elif verdict is not Verdict.STALE:
            unknown = verdict is Verdict.UNKNOWN_USER
            detail = f"{request.method} {'for an unknown number' if unknown else 'with a wrong password'}"
            self._exchange.report(SecurityEventKind.WRONG_PASSWORD, flow, number, detail)
        stale = verdict in {Verdict.STALE, Verdict.REPLAYED}
        self._challenge(request, flow, now, stale=stale)
        return None

    def is_ours(self, value: str) -> bool:
        """Tell whether the value of a `Proxy-Authorization` header is for our realm."""
        return f'"{self._exchange.config.domain}"' in value

    def _credentials(self, request: Request, key: str) -> DigestCredentials | None:
        """Find the credentials for our realm; raises MalformedCredentials when those are unusable."""
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
        user_agent = request.first("user-agent") or ""
        challenges = self._authenticator.challenges(now, stale=stale, user_agent=user_agent)
        headers = [f"{name}: {value}" for value in challenges]
        self._exchange.answer(request, flow, 401 if is_register else 407, headers=headers)
