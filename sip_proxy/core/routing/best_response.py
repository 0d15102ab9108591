"""Which of the final responses of all branches goes to the caller (RFC 3261 §16.7 steps 6 and 7)."""

from typing import Final

from sip_proxy.core.message.message import Response
from sip_proxy.core.message.status import reason_phrase

_CHALLENGES: Final = {"www-authenticate", "proxy-authenticate"}
# §16.7 step 6: these tell the caller how to come again with more luck.
_HELPFUL: Final = (401, 407, 415, 420, 484)
# These tell least: somebody else's answer is worth more than nobody's.
_POOR: Final = (480, 487, 408)


class FinalResponse:
    """How a branch ended; `response` is None when nothing came and the status stands for that."""

    __slots__ = ("reason", "response", "status")

    def __init__(self, status: int, reason: str, response: Response | None) -> None:
        self.status = status
        self.reason = reason
        self.response = response


def choose_best(finals: list[FinalResponse]) -> FinalResponse:
    """Return the best of responses other than 2xx: any 6xx, else the most helpful of the lowest class."""
    for final in finals:
        if final.status >= 600:
            return final
    lowest = min(final.status // 100 for final in finals)
    return min((final for final in finals if final.status // 100 == lowest), key=_rank)


def for_caller(final: FinalResponse) -> FinalResponse:
    """Return what the caller is to hear of this: some statuses speak about the next hop only."""
    if final.status == 503:
        # §16.7 step 6: a phone is overloaded or can't be reached, not the exchange. The caller would stop
        # using that (RFC 3263 §4.3).
        unreachable = final.response is None
        return FinalResponse(500, "The phone can't be reached" if unreachable else reason_phrase(500), None)
    if final.status == 430:
        return FinalResponse(480, "The phone can't be reached", None)  # RFC 5626 §11.5: never for an endpoint
    return final


def gathered_challenges(best: FinalResponse, finals: list[FinalResponse]) -> list[str]:
    """Return the challenges of the other branches, to be added to a 401 or 407 (§16.7 step 7)."""
    if best.status not in {401, 407}:
        return []
    return [
        line
        for final in finals
        if final is not best and final.status in {401, 407} and final.response is not None
        for key, line in zip(final.response.keys, final.response.lines, strict=True)
        if key in _CHALLENGES
    ]


def _rank(final: FinalResponse) -> tuple[int, int]:
    """Lower is better; what a phone said goes before what its silence means."""
    status = final.status
    if status in _HELPFUL:
        rank = 0
    elif status in _POOR:
        rank = 2 + _POOR.index(status)
    elif status == 503:
        rank = 2
    else:
        rank = 1
    return rank, int(final.response is None)
