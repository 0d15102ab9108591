"""Which digest algorithms to offer a phone, and in what order.

RFC 8760 §2.3 wants the strongest first, each in a header of its own, and a phone to take the topmost that it
knows. Phones are not like that: SIPp (issue 488), FreeSWITCH and PJSIP before 2.11 take the first header
whatever it says, and fail; baresip 1 gives up as soon as it sees one that it doesn't know, wherever it
stands; JsSIP and SIP.js take the last one. None of them would register. So MD5 comes first unless a phone is
known to do better, and a phone that is known to choke gets nothing else. Whoever could change the User-Agent
on the way could as well take the challenge for SHA-256 out (RFC 8760 §4): this order gives nothing away.
"""

import re
from typing import Final

from sip_proxy.core.authentication.digest import Algorithm

_CHOKES_ON_UNKNOWN: Final = re.compile(r"baresip|Twinkle|JsSIP|SIP\.js", re.IGNORECASE)
_KNOWS_SHA_256: Final = re.compile(r"Linphone|Tollbell", re.IGNORECASE)


def algorithms_for(user_agent: str) -> tuple[Algorithm, ...]:
    """Return what to offer to a phone with this `User-Agent`, the preferred first."""
    if _KNOWS_SHA_256.match(user_agent):
        return (Algorithm.SHA_256, Algorithm.MD5)
    if _CHOKES_ON_UNKNOWN.match(user_agent):
        return (Algorithm.MD5,)
    return (Algorithm.MD5, Algorithm.SHA_256)
