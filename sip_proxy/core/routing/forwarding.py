"""Copying a message with only those headers changed that a proxy must change (RFC 3261 §16.6, §16.7)."""

import re
from typing import Final

from sip_proxy.core.directory import Account
from sip_proxy.core.message.grammar import quote_string, unquote_string
from sip_proxy.core.message.message import Request, Response, encode

_CREDENTIALS: Final = frozenset({"proxy-authorization", "authorization"})
_REALM: Final = re.compile(r'[\s,]realm\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)
# What each copy gets anew, or not at all: the start line, and these.
_TOUCHED: Final = frozenset(
    {
        "", "max-forwards", "route", "proxy-authorization", "authorization",
        "p-asserted-identity", "p-preferred-identity", "remote-party-id",
    }
)  # fmt: skip
_TOUCHED_IN_FORK: Final = _TOUCHED | {"max-breadth"}
_DEFAULT_MAX_FORWARDS: Final = 70


class Copy:
    """A request prepared for forwarding: what all branches have in common is made once.

    Routes of ours, credentials for our realm, and identities that the sender asserted are gone; `identity` is
    what the exchange asserts instead (RFC 3325 §5), or "". `breadth` is the Max-Breadth of each branch, 0
    where the request is not forked and keeps its value (RFC 5393 §5.3.3).
    """

    __slots__ = ("_lines", "request")

    def __init__(
        self, request: Request, routes: list[str], our_realm: str, identity: str = "", breadth: int = 0
    ) -> None:
        self.request = request
        hops = _DEFAULT_MAX_FORWARDS if request.max_forwards is None else request.max_forwards - 1
        shape = request.shape
        touched = _TOUCHED_IN_FORK if breadth else _TOUCHED
        self._lines = lines = [f"Max-Forwards: {hops}", *shape.without(touched)(request.lines)]
        if "proxy-authorization" in shape.at or "authorization" in shape.at:
            credentials = shape.only(_CREDENTIALS)(request.lines)
            lines += [line for line in credentials if _is_for_another(line, our_realm)]
        if routes:
            lines += [f"Route: {route}" for route in routes]
        if breadth:
            lines.append(f"Max-Breadth: {breadth}")
        if identity:
            lines.append(f"P-Asserted-Identity: {identity}")
        if not shape.content_length:
            lines.append(f"Content-Length: {len(request.body)}")

    def to(self, uri: str, *, via: str, record_routes: list[str], path: tuple[str, ...] = ()) -> bytes:
        """Return the request as it goes to one target; `path` is the way there, as it registered it."""
        request = self.request
        lines = [f"{request.method} {uri} SIP/2.0", via, *record_routes, *self._lines]
        if path:
            lines += [f"Route: {value}" for value in path]
        return encode(lines, request.body)


def _is_for_another(credentials: str, our_realm: str) -> bool:
    """Tell whether a line of credentials is for another realm for sure, and so none of our business.

    No phone may see those for ours: it could have challenged the caller in our name, with a nonce that it got
    from us, and then call itself at the caller's expense.
    """
    if f'"{our_realm}"' in credentials:
        return False
    match = _REALM.search(credentials)
    return (
        match is not None and unquote_string(f'"{match[1] or match[2] or ""}"').lower() != our_realm.lower()
    )


def asserted_identity(caller: Account, domain: str) -> str:
    """The value of `P-Asserted-Identity` for an account of ours (RFC 3325 §9.1)."""
    return f"{quote_string(caller.display_name)} <sip:{caller.number}@{domain}>"


def wants_privacy(request: Request) -> bool:
    """Tell whether the caller asks us not to assert who it is (RFC 3325 §9.3)."""
    if "privacy" not in request.shape.at:
        return False
    return any(
        "id" in (part.strip().lower() for part in value.split(";")) for value in request.values("privacy")
    )


def response_upstream(response: Response, extra: list[str]) -> bytes:
    """Return a response without our Via value, as it goes to where the request came from (§16.7 step 3).

    Nor with identities that a phone asserts.
    """
    shape = response.shape
    lines = [*shape.upstream(response.lines), *extra]
    if response.via_rest:
        lines.insert(1, "Via: " + ", ".join(response.via_rest))
    if not shape.content_length:
        lines.append(f"Content-Length: {len(response.body)}")
    return encode(lines, response.body)
