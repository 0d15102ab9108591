"""Copying a message with only those headers changed that a proxy must change (RFC 3261 §16.6, §16.7)."""

from sip_proxy.core.directory import Account
from sip_proxy.core.message.grammar import quote_string
from sip_proxy.core.message.message import Request, Response, encode

_TOUCHED = frozenset(
    {
        "max-forwards",
        "route",
        "proxy-authorization",
        "p-asserted-identity",
        "p-preferred-identity",
        "max-breadth",
    }
)
_DEFAULT_MAX_FORWARDS = 70


class Copy:
    """A request prepared for forwarding: what all branches have in common is made once.

    Routes of ours, credentials for our realm, and identities that the sender asserted are gone; `identity` is
    what the exchange asserts instead (RFC 3325 §5), or "". `breadth` is the Max-Breadth of each branch, 0
    where the request is not forked and keeps its value (RFC 5393 §5.3.3).
    """

    __slots__ = ("_keys", "_lines", "request")

    def __init__(
        self, request: Request, *, routes: list[str], our_realm: str, identity: str = "", breadth: int = 0
    ) -> None:
        self.request = request
        hops = _DEFAULT_MAX_FORWARDS if request.max_forwards is None else request.max_forwards - 1
        lines = request.lines.copy()
        keys = request.keys.copy()
        # The start line gives way to Max-Forwards: each copy gets a start line of its own.
        lines[0] = f"Max-Forwards: {hops}"
        keys[0] = "max-forwards"
        if not _TOUCHED.isdisjoint(request.keys):
            our_realm = f'"{our_realm}"'
            for index in range(len(keys) - 1, 0, -1):
                key = keys[index]
                if key in _TOUCHED and _goes(key, lines[index], our_realm, breadth):
                    del lines[index], keys[index]
        for route in routes:
            lines.append(f"Route: {route}")
            keys.append("route")
        if breadth:
            lines.append(f"Max-Breadth: {breadth}")
            keys.append("max-breadth")
        if identity:
            lines.append(f"P-Asserted-Identity: {identity}")
            keys.append("p-asserted-identity")
        if "content-length" not in keys:
            lines.append(f"Content-Length: {len(request.body)}")
            keys.append("content-length")
        self._lines = lines
        self._keys = keys

    def to(self, uri: str, *, via: str, record_routes: list[str], path: tuple[str, ...] = ()) -> Request:
        """Return the request as it goes to one target; `path` is the way there, as it registered it."""
        request = self.request
        lines = [f"{request.method} {uri} SIP/2.0", via, *record_routes, *self._lines]
        keys = ["", "via", *("record-route" for _ in record_routes), *self._keys]
        for value in path:
            lines.append(f"Route: {value}")
            keys.append("route")
        copy = Request(request.method, uri, lines, keys, request.body)
        copy.cseq = request.cseq
        return copy


def _goes(key: str, line: str, our_realm: str, breadth: int) -> bool:
    """Tell whether a line with one of the touched keys is left out."""
    if key == "max-breadth":
        return breadth > 0
    return key != "proxy-authorization" or our_realm in line


def asserted_identity(caller: Account, domain: str) -> str:
    """The value of `P-Asserted-Identity` for an account of ours (RFC 3325 §9.1)."""
    return f"{quote_string(caller.display_name)} <sip:{caller.number}@{domain}>"


def wants_privacy(request: Request) -> bool:
    """Tell whether the caller asks us not to assert who it is (RFC 3325 §9.3)."""
    if "privacy" not in request.keys:
        return False
    return any(
        "id" in (part.strip().lower() for part in value.split(";")) for value in request.values("privacy")
    )


def response_upstream(response: Response, extra: list[str]) -> bytes:
    """Return a response without our Via value, as it goes to where the request came from (§16.7 step 3)."""
    keys = response.keys
    lines = response.lines
    index = response.via_index
    if response.via_rest:
        lines = [*lines[:index], "Via: " + ", ".join(response.via_rest), *lines[index + 1 :]]
        if "p-asserted-identity" in keys:
            lines = _without(keys, lines, "p-asserted-identity")
    else:
        lines = lines[:index] + lines[index + 1 :]
        if "p-asserted-identity" in keys:
            lines = _without(keys[:index] + keys[index + 1 :], lines, "p-asserted-identity")
    if extra:
        lines = lines + extra
    if "content-length" not in keys:
        lines = [*lines, f"Content-Length: {len(response.body)}"]
    return encode(lines, response.body)


def _without(keys: list[str], lines: list[str], unwanted: str) -> list[str]:
    return [line for key, line in zip(keys, lines, strict=True) if key != unwanted]
