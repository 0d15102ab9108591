"""May this request be worked on at all (RFC 3261 §16.3)?"""

from typing import Final

from sip_proxy.core.hops import Hops
from sip_proxy.core.identifiers import Identifiers
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import HIGHEST_CSEQ, Request
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.message.via import MAGIC_COOKIE, parse_via
from sip_proxy.core.rejection import Rejection

_ROUTE: Final = frozenset({"route"})
_METHODS: Final = frozenset(
    {
        "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER",
        "REGISTER", "SUBSCRIBE", "UPDATE",
    }
)  # fmt: skip
HIGHEST_OF_PHONES: Final = HIGHEST_CSEQ - 10_000
"""The highest CSeq number that a phone may use in a dialog: those of what we send in its name come after."""

# What has phones of various makers start anew or fetch their settings, at the word of their exchange alone.
_MAINTENANCE: Final = frozenset(
    {"check-sync", "resync", "reboot", "restart", "report", "action-uri", "service-control"}
)


def request_uri(request: Request) -> Uri | Rejection:
    """Read the Request-URI: 400 when it is malformed, 416 when its scheme is unknown."""
    try:
        uri = parse_uri(request.uri)
    except MalformedMessage as error:
        return Rejection(error.status, error.reason)
    if uri.headers:
        return Rejection(400, "Headers in the Request-URI")  # §19.1.1
    return uri


def check_request(request: Request, hops: Hops, identifiers: Identifiers) -> Rejection | None:
    """Make the checks of §16.3 that concern every request to be forwarded."""
    if request.max_forwards == 0:
        return Rejection(483, "Too Many Hops")
    if request.method not in _METHODS and request.method.upper() in _METHODS:
        # To us it is another method (§7.1); to many phones it is this one, in a call that nobody would bill.
        return Rejection(400, "This method is written in capital letters")
    if request.cseq > HIGHEST_OF_PHONES and (request.to_tag or request.method == "INVITE"):
        # Nobody could end that call but this phone: what we sent would be out of order (§12.2.2).
        return Rejection(400, "The CSeq number is too high for a dialog")
    if "proxy-require" in request.shape.at:
        return unsupported(request, "proxy-require", frozenset())
    if request.method == "NOTIFY" and not _MAINTENANCE.isdisjoint(
        map(_event_type, request.line_values("event"))
    ):
        # It would come from our address, so the phone would obey, and be cut off in a call.
        return Rejection(403, "Only the exchange itself resets phones")
    if not request.has_one_via():
        return _check_loop(request, hops, identifiers)
    return None


def unsupported(request: Request, key: str, supported: frozenset[str]) -> Rejection | None:
    """Refuse what requires something that we don't know, by `Require` or `Proxy-Require` (§8.2.2.3)."""
    unknown = [option for option in request.values(key) if option.lower() not in supported]
    if not unknown:
        return None
    return Rejection(420, "Bad Extension", headers=(f"Unsupported: {', '.join(unknown)}",))


def loop_mark(request: Request, identifiers: Identifiers) -> str:
    """Sum up what decides about a request's way; with the same mark in our own Via it is in a loop."""
    return identifiers.loop_mark(
        request.uri,
        request.call_id,
        request.from_tag,
        request.to_tag,
        request.cseq,
        *request.shape.only(_ROUTE)(request.lines),
    )


def _event_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _check_loop(request: Request, hops: Hops, identifiers: Identifiers) -> Rejection | None:
    """§16.3 step 4, as RFC 5393 §4.2 has it: we forwarded it before, and it is to go the same way again."""
    mark = f"{MAGIC_COOKIE}{loop_mark(request, identifiers)}."
    for value in request.values("via")[1:]:
        try:
            via = parse_via(value)
        except MalformedMessage:
            return Rejection(400, "Malformed Via header")
        if via.branch.startswith(mark) and hops.is_our_via(via.host, via.port):
            return Rejection(482, "Loop Detected")
    return None
