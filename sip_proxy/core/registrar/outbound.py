"""Phones that keep flows open and name them: outbound (RFC 5626).

Such a phone registers every flow with its instance-id and a reg-id. A registration of the same pair replaces
the one before, whatever its contact is, so a phone that connects anew leaves nothing stale behind.
"""

import re
from typing import Final, NamedTuple

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.name_addr import NameAddr, parse_name_addr
from sip_proxy.core.registrar.errors import RegistrationRefused
from sip_proxy.core.rejection import Rejection

FLOW_TIMER_S: Final = 120  # how often a phone is to show that its connection lives (RFC 5626 §4.4)

_REG_ID: Final = re.compile(r"[0-9]{1,10}\Z")
_HIGHEST_REG_ID: Final = 2**31 - 1  # §4.2
_LONGEST_INSTANCE: Final = 256


class Outbound(NamedTuple):
    """Which phone it is, and which of its flows."""

    instance: str
    reg_id: int


def asks_for_outbound(request: Request) -> bool:
    """Tell whether the phone knows RFC 5626."""
    return any(
        option.lower() == "outbound" for key in ("supported", "require") for option in request.values(key)
    )


def read_outbound(request: Request, contact: NameAddr, contacts: list[str]) -> Outbound | None:
    """Return what the contact of a phone that knows RFC 5626 names, None when it names nothing (§6).

    Raises MalformedMessage, or RegistrationRefused with 439 when a proxy between us would not keep the flow.
    """
    instance = contact.parameters.get("+sip.instance", "")
    text = contact.parameters.get("reg-id", "")
    if not instance or not text:
        return None
    if not _REG_ID.match(text) or not 0 < int(text) <= _HIGHEST_REG_ID:
        raise MalformedMessage("Malformed reg-id of a contact")
    if len(instance) > _LONGEST_INSTANCE:
        raise MalformedMessage("The instance-id of a contact is too long")
    if len(contacts) > 1:
        raise MalformedMessage("A contact with a reg-id must be the only one")
    if not request.has_one_via() and not _edge_keeps_flow(request):
        raise RegistrationRefused(Rejection(439, "First Hop Lacks Outbound Support"))
    return Outbound(instance, int(text))


def _edge_keeps_flow(request: Request) -> bool:
    """The phone's first proxy tells by `ob` in its own Path value, the last one (§5.1)."""
    path = request.values("path")
    return bool(path) and "ob" in parse_name_addr(path[-1]).parsed_uri().parameters
