"""Session timers, as a proxy asks for them (RFC 4028 §8).

The phones refresh the session with re-INVITE or UPDATE; a session that isn't refreshed in time is over. The
exchange asks for a session timer in each INVITE and UPDATE that has none; phones that don't do timers ignore
that, and are watched by `life_check` alone.
"""

import re
from typing import Final

from sip_proxy.core.configuration import EngineConfig
from sip_proxy.core.message.message import Message, Request, Response
from sip_proxy.core.rejection import Rejection

SESSION_REFRESHES: Final = frozenset({"INVITE", "UPDATE"})  # §3
_SHORTEST_S: Final = 90  # §4
_DELTA_SECONDS: Final = re.compile(r"[ \t]*([0-9]{1,9})[ \t]*(?:;|\Z)")


def check_session_interval(request: Request, config: EngineConfig) -> Rejection | None:
    """Refuse a session interval that is too short, if the phone knows what to do about it (§8.1)."""
    interval_s = _seconds(request, "session-expires")
    if interval_s is None or interval_s >= config.minimum_session_interval_s or not knows_timers(request):
        return None
    headers = (f"Min-SE: {config.minimum_session_interval_s}",)
    return Rejection(422, "Session Interval Too Small", headers=headers)


def ask_for_session_timer(request: Request, config: EngineConfig) -> int:
    """See that a request to be forwarded asks for a session timer; return the interval in it, in seconds.

    A value that is there is lowered when it is above ours, and raised when it is below the minimum, but
    never below what `Min-SE` says (§8.1). `refresher` is the phones' own business. 0: it can't be read.
    """
    if "session-expires" not in request.shape.at:
        interval_s = max(config.session_interval_s, _seconds(request, "min-se") or 0)
        request.add("session-expires", f"Session-Expires: {interval_s}")
        return interval_s
    asked_s = _seconds(request, "session-expires")
    if asked_s is None:
        return 0
    minimum_s = _seconds(request, "min-se") or 0
    if asked_s < config.minimum_session_interval_s and minimum_s < config.minimum_session_interval_s:
        minimum_s = config.minimum_session_interval_s
        request.put("min-se", f"Min-SE: {minimum_s}")
    interval_s = max(minimum_s, min(asked_s, config.session_interval_s))
    if interval_s != asked_s:
        _, semicolon, rest = (request.first("session-expires") or "").partition(";")
        request.put("session-expires", f"Session-Expires: {interval_s}{semicolon}{rest}")
    return interval_s


def settle_session_timer(response: Response, asked_s: int, *, is_known_to_asker: bool) -> int:
    """Find out from a 2xx what session interval is in force from now on, in seconds; 0 for none (§8.2).

    When the phone that sent the request does timers (`knows_timers`) and the other doesn't, the response is
    completed so that the former refreshes. A 2xx must not ask for less than there may be (§4), or a phone
    could have a call ended, and billed to its beginning, before anybody was asked for a sign of life.
    """
    if "session-expires" in response.shape.at:
        interval_s = _seconds(response, "session-expires") or 0
        return max(interval_s, min(asked_s, _SHORTEST_S)) if interval_s else 0
    if not asked_s or not is_known_to_asker:
        return 0
    response.add("session-expires", f"Session-Expires: {asked_s};refresher=uac")
    if "timer" not in (option.lower() for option in response.values("require")):
        response.add("require", "Require: timer")
    return asked_s


def knows_timers(request: Request) -> bool:
    """Tell whether the sender of a request does session timers (§7.1)."""
    at = request.shape.at
    if "supported" not in at and "require" not in at:
        return False
    options = request.values("supported") + request.values("require")
    return "timer" in (option.lower() for option in options)


def _seconds(message: Message, key: str) -> int | None:
    """Return the delta-seconds of a header; None when it isn't there or can't be read."""
    value = message.first(key)
    match = None if value is None else _DELTA_SECONDS.match(value)
    return None if match is None else int(match[1])
