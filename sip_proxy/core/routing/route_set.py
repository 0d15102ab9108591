"""Route headers: what is left of them after our own values (RFC 3261 §16.4, §16.6 step 6)."""

from sip_proxy.core.hops import Hops
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import LONGEST_REMEMBERED, Request
from sip_proxy.core.message.name_addr import parse_name_addr


def remaining_routes(request: Request, hops: Hops) -> list[str]:
    """Return the Route values after those of ours at the front: one, or two of a double Record-Route."""
    shape = request.shape
    if shape.only_route:
        line = request.lines[shape.only_route]
        if len(line) <= LONGEST_REMEMBERED and hops.is_our_route_line(line):
            return []
    elif "route" not in shape.at:
        return []
    routes = request.values("route")
    while routes:
        try:
            uri = parse_name_addr(routes[0]).parsed_uri()
        except MalformedMessage:
            break
        if not hops.is_our_route(uri):
            break
        del routes[0]
    return routes
