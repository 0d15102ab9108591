"""Requests without credentials, challenged at a glance.

Every call begins with one, and so does every registration and message: half of what an exchange hears is
only answered 401 or 407. That its headers leave no question open follows from their names alone, which the
shape of a message knows (`core/message/shape.py`); what is left is to look at eight values. Whatever is out
of the ordinary (a request that must be refused, a copy of one that is being served, unusual spelling) is
left, untouched, to the way of all requests. So the rules are in `reception.py`, `gatekeeper.py` and
`routing/validation.py`, and this file must do as they do: a test sends the same messages on both ways and
compares.
"""

import re
from typing import Final

from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Flow
from sip_proxy.core.gatekeeper import Gatekeeper
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Request, read_content_length, read_max_forwards
from sip_proxy.core.message.uri import parse_uri
from sip_proxy.core.message.via import LAST_PORT
from sip_proxy.core.outputs import Send
from sip_proxy.core.transaction.layer import server_key

_BY_PROXY: Final = ("407 Proxy Authentication Required", "Proxy-Authenticate")
_BY_REGISTRAR: Final = ("401 Unauthorized", "WWW-Authenticate")
_CHALLENGED: Final = {
    "INVITE": _BY_PROXY,
    "MESSAGE": _BY_PROXY,
    "SUBSCRIBE": _BY_PROXY,
    "PUBLISH": _BY_PROXY,
    "REGISTER": _BY_REGISTRAR,
}
# The five headers that an answer echoes, as most phones write them: nothing here can be taken in two ways.
_TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]++"
_ADDRESS: Final = (
    r"""(?:"[^"\\<\x00-\x1f\x7f]*+" ?|[A-Za-z0-9\-.!%*_+`'~ ]*+)"""
    r"<sip:([A-Za-z0-9*#+\-_.]++)@[A-Za-z0-9.\-]++(?::[1-9][0-9]{0,3})?+>"
)
_USUAL: Final = re.compile(
    r"((?:Via|v): SIP/2\.0/[A-Z]++ (([0-9a-z.\-]++):([1-9][0-9]{0,4}+))"
    r"(;rport)?+;branch=(z9hG4bK[!#-+\--:?-~]++)(;rport)?+)\r\n"
    rf"((?:From|f): ?{_ADDRESS};tag={_TOKEN}\r\n"
    rf"(?:To|t): ?{_ADDRESS})\r\n"
    r"((?:Call-ID|i): ?([!-~]++)\r\n"
    r"CSeq: ([1-9][0-9]{0,8}+) ([A-Z]++))\Z"
)
_LONGEST: Final = 1024


class Strangers:
    """Challenges requests without credentials that are written in a usual way."""

    __slots__ = ("_exchange", "_gatekeeper", "_hops")

    def __init__(self, *, exchange: Exchange, hops: Hops, gatekeeper: Gatekeeper) -> None:
        self._exchange = exchange
        self._hops = hops
        self._gatekeeper = gatekeeper

    def challenge(self, request: Request, flow: Flow, now: float) -> bool:
        """Answer a request of a shape that `is_strangers`; False: nothing was done with it."""
        challenged = _CHALLENGED.get(request.method)
        if challenged is None or not self._is_in_order(request, flow):
            return False
        echoed = "\r\n".join(request.shape.echoed(request.lines))
        usual = _USUAL.match(echoed) if len(echoed) <= _LONGEST else None
        if usual is None:
            return False
        (
            via,
            sent_by,
            sent_host,
            sent_port,
            rport_before,
            branch,
            rport_after,
            parties,
            caller,
            callee,
            rest,
            call_id,
            cseq,
            method,
        ) = usual.groups()
        host, port = flow.remote
        if int(sent_port) > LAST_PORT:
            return False
        if rport_before or rport_after:
            if rport_before and rport_after:
                return False
            via = f"{via.replace(';rport', f';rport={port}', 1)};received={host}"
        elif int(sent_port) != port and not flow.transport.is_reliable:
            return False
        elif sent_host != host:
            via = f"{via};received={host}"
        exchange, gatekeeper = self._exchange, self._gatekeeper
        if (
            method != request.method
            or exchange.layer.server_with(server_key(branch, sent_by, method)) is not None
        ):
            return False
        user_agent = request.first("user-agent")
        if gatekeeper.ignores_sender(user_agent, flow, now, has_credentials=False):
            return True
        status, name = challenged
        number = callee if method == "REGISTER" else caller
        challenges = gatekeeper.stranger_challenge(name, number, user_agent, flow, now)
        if challenges is not None:
            tag = exchange.identifiers.repeatable_tag(branch, call_id, int(cseq))
            answer = (
                f"SIP/2.0 {status}\r\n{via}\r\n{parties};tag={tag}\r\n{rest}\r\n{challenges}\r\n"
                "Content-Length: 0\r\n\r\n"
            )
            exchange.outputs.append(Send(flow, answer.encode("utf-8", "surrogateescape")))
        return True

    def _is_in_order(self, request: Request, flow: Flow) -> bool:
        """Tell whether nothing but the headers that an answer echoes could keep us from answering."""
        shape, lines = request.shape, request.lines
        try:
            uri = parse_uri(request.uri)
            if shape.max_forwards and read_max_forwards(lines[shape.max_forwards]) == 0:
                return False
            if shape.content_length and read_content_length(lines[shape.content_length]) > len(request.body):
                return False
        except MalformedMessage:
            return False
        if uri.headers or request.defect is not None:
            return False
        return request.method != "REGISTER" or self._hops.is_local_on(uri, flow)
