"""The two ways of writing where a request goes next (RFC 3261 §16.6 step 6, §12.2.1.1)."""

from collections.abc import Sequence

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.name_addr import parse_name_addr


def for_next_hop(uri: str, routes: Sequence[str]) -> tuple[str, list[str]]:
    """Return Request-URI and Route values as the first of the routes expects them.

    A loose router (`lr`) wants the Request-URI untouched. A strict one, of RFC 2543, wants to find itself
    there and the true Request-URI as the last Route value.
    """
    if not routes or _is_loose(routes[0]):
        return uri, list(routes)
    return parse_name_addr(routes[0]).uri, [*routes[1:], f"<{uri}>"]


def _is_loose(route: str) -> bool:
    """A value that can't be read is left as it is: whoever wrote it may know what it means."""
    try:
        return "lr" in parse_name_addr(route).parsed_uri().parameters
    except MalformedMessage:
        return True
