"""The short path of REGISTER: a phone that writes as nearly every phone does, on UDP, with one contact.

Two thirds of what an exchange hears are phones that register, and nearly all of them say again what they said
before. What `usual_register.py` can read, and has good credentials, is registered here; whatever is out of
the ordinary (an error, a refusal, another contact, a removal) is left, untouched, to the way of all requests.
So the rules are in `reception.py`, `gatekeeper.py` and `registrar.py`, and this file must do as they do: a
test sends the same messages on both ways and compares.
"""

from sys import intern

from sip_proxy.core.authentication.authenticator import Verdict
from sip_proxy.core.authentication.digest import DigestCredentials, MalformedCredentials, parse_credentials
from sip_proxy.core.directory import AccountState
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Flow
from sip_proxy.core.gatekeeper import Gatekeeper
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.date import date_line
from sip_proxy.core.message.via import MAGIC_COOKIE
from sip_proxy.core.outputs import Send
from sip_proxy.core.registrar.binding import Binding
from sip_proxy.core.registrar.registrar import LONGEST_USER_AGENT, Registrar
from sip_proxy.core.registrar.usual_register import UsualRegister, read_usual_register
from sip_proxy.core.transaction.layer import server_key
from sip_proxy.core.transaction.server import ServerEvent


class ShortPath:
    """Takes the REGISTER of phones that write in the usual way."""

    __slots__ = ("_exchange", "_gatekeeper", "_hops", "_layer", "_registrar")

    def __init__(
        self, *, exchange: Exchange, hops: Hops, gatekeeper: Gatekeeper, registrar: Registrar
    ) -> None:
        self._exchange = exchange
        self._layer = exchange.layer
        self._hops = hops
        self._gatekeeper = gatekeeper
        self._registrar = registrar

    def take(self, data: bytes, flow: Flow, now: float) -> bool:
        """Serve a REGISTER; False: nothing was done with it, and it must go the way of all requests."""
        if flow.transport.is_reliable:
            return False
        usual = read_usual_register(data)
        if usual is None or usual.authorization is None or not self._is_for_us(usual, flow):
            return False
        branch = MAGIC_COOKIE + usual.branch_rest
        key = server_key(branch, f"{usual.via_host.lower()}:{int(usual.via_port)}", "REGISTER")
        transaction = self._layer.server_with(key)
        if transaction is not None:
            transaction.fire(ServerEvent.REQUEST_AGAIN, now)
            return True
        user_agent = usual.user_agent and usual.user_agent.strip(" ")
        if self._gatekeeper.ignores_sender(user_agent, flow, now, has_credentials=True):
            return True
        tag = self._exchange.identifiers.repeatable_tag(branch, usual.call_id, int(usual.cseq))
        binding = self._authenticated(usual, usual.authorization, user_agent or "", flow, now)
        if binding is None:
            return False
        is_awaited = self._registrar.bind(usual.number, binding, now)
        date = date_line(self._exchange.wall(now))
        expiry_s = round(binding.expires_at - now)
        headers = f"{date}\r\nContact: <{binding.contact}>;expires={expiry_s}"
        data = _response("200 OK", usual, flow, tag, headers)
        self._layer.completed(key, Send(flow, data, is_awaited, is_awaited), flow, now)
        self._registrar.done(usual.number, flow, now)
        return True

    def _is_for_us(self, usual: UsualRegister, flow: Flow) -> bool:
        """Tell whether it is to one of our addresses, and is answered to where it came from."""
        if usual.rport_before is None and usual.rport_after is None and int(usual.via_port) != flow.remote[1]:
            return False
        return self._is_local(usual.uri_host, flow) and self._is_local(usual.to_host, flow)

    def _is_local(self, host: str, flow: Flow) -> bool:
        return self._hops.is_local_host(host.lower()) or host == flow.local[0]

    def _authenticated(
        self, usual: UsualRegister, authorization: str, user_agent: str, flow: Flow, now: float
    ) -> Binding | None:
        """Return what is to be bound when credentials and request are in order, and use the former up.

        The credentials are judged first: to whom they are wrong, all numbers must look alike.
        """
        credentials = self._credentials(authorization)
        if credentials is None:
            return None
        judgement = self._gatekeeper.judge_register(credentials, usual.uri, flow, now)
        if judgement is None or judgement.verdict is not Verdict.ACCEPTED:
            return None
        number = credentials.username
        account = self._exchange.directory.find(number)
        if number != usual.number or account is None or account.state is AccountState.CLOSED:
            return None
        binding = self._binding(usual, number, user_agent, flow, now)
        if binding is None or not self._gatekeeper.lets_pass(judgement, number, flow, now):
            return None
        return binding

    def _credentials(self, authorization: str) -> DigestCredentials | None:
        if not self._gatekeeper.is_ours(authorization):
            return None
        try:
            return parse_credentials(authorization)
        except MalformedCredentials:
            return None

    def _binding(
        self, usual: UsualRegister, number: str, user_agent: str, flow: Flow, now: float
    ) -> Binding | None:
        """Return the binding of a number that has none, or has just this one; None in all other cases."""
        config = self._exchange.config
        text = usual.contact_expires or usual.expires
        expiry_s = config.default_expiry_s if text is None else int(text)
        if expiry_s < config.minimum_expiry_s or expiry_s == 0:
            return None
        before = self._registrar.location.find(number, now)
        contact, call_id, cseq = usual.contact, usual.call_id, int(usual.cseq)
        if before:
            known = before[0]
            if len(before) > 1 or known.contact != contact or known.reg_id:
                return None
            contact = known.contact  # the same text: one is enough
            if known.call_id == call_id:
                if cseq <= known.cseq:
                    return None
                call_id = known.call_id
        elif self._is_ourselves(usual):
            return None
        return Binding(
            contact=contact,
            flow=flow,
            is_direct=usual.via_host == flow.remote[0] and int(usual.via_port) == flow.remote[1],
            call_id=call_id,
            cseq=cseq,
            q=1000,
            registered_at=self._exchange.wall(now),
            expires_at=now + min(expiry_s, config.maximum_expiry_s),
            user_agent=intern(user_agent[:LONGEST_USER_AGENT]),
        )

    def _is_ourselves(self, usual: UsualRegister) -> bool:
        port = 5060 if usual.contact_port is None else int(usual.contact_port)
        return (usual.contact_host.lower(), port) in self._exchange.config.local_addresses


def _response(status: str, usual: UsualRegister, flow: Flow, tag: str, headers: str) -> bytes:
    """Answer with these further headers (RFC 3261 §8.2.6, §18.2.1, RFC 3581 §4)."""
    host, port = flow.remote
    via = usual.via
    if usual.rport_before is not None or usual.rport_after is not None:
        via = f"{via.replace(';rport', f';rport={port}', 1)};received={host}"
    elif usual.via_host != host:
        via = f"{via};received={host}"
    return (
        f"SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {usual.from_}\r\nTo: {usual.to};tag={tag}\r\n"
        f"Call-ID: {usual.call_id}\r\nCSeq: {usual.cseq} REGISTER\r\n{headers}\r\nContent-Length: 0\r\n\r\n"
    ).encode()
