"""Transfers: the phones do them with REFER; the exchange must only not stand in their way.

The transferred phone calls anew, in its own name and on its own account (RFC 5589), while its old call is
still there: for a moment it has one call more than it will keep. A limit must not make a transfer fail.
"""

from typing import Final

from sip_proxy.core.dialog.call import Call

_REFERRED_FOR_S: Final = 64.0


class Transfers:
    """Knows which numbers were asked a moment ago to call somebody else, by a REFER that they accepted."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def referred(self, number: str, now: float) -> None:
        """A phone of this number accepted a REFER in a call."""
        self._until = {each: until for each, until in self._until.items() if until > now}
        self._until[number] = now + _REFERRED_FOR_S

    def calls_on_the_way_out(self, number: str, now: float) -> int:
        """Count the calls of a number that a transfer is about to end: one at most."""
        return 1 if self._until and self._until.get(number, 0.0) > now else 0


def replaced_dialog(value: str) -> tuple[str, str, str]:
    """Read a `Replaces` header (RFC 3891 §6.1): Call-ID, to-tag and from-tag, "" for what isn't there.

    The tags are as the phone sees them that gets the INVITE: its own is the to-tag.
    """
    call_id, _, rest = value.partition(";")
    tags = {"to-tag": "", "from-tag": ""}
    for parameter in rest.split(";"):
        name, _, tag = parameter.partition("=")
        if name.strip().lower() in tags:
            tags[name.strip().lower()] = tag.strip()
    return call_id.strip(), tags["to-tag"], tags["from-tag"]


def is_replaced(call: Call, number: str, to_tag: str, from_tag: str) -> bool:
    """Tell whether these tags name the dialog that a phone of this number has in this call."""
    if call.called is None:
        return False
    caller_tag, called_tag = call.calling.tag, call.called.tag
    if number == call.caller and (to_tag, from_tag) == (caller_tag, called_tag):
        return True
    return number == call.callee and (to_tag, from_tag) == (called_tag, caller_tag)
