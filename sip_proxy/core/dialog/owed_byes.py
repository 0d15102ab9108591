"""A BYE that could not be delivered, kept for when its phone registers again.

A phone whose connection broke (the exchange was restarted, say) can't hear that the call is over, until it
connects anew. Its call is recorded and closed by then; this only saves it from sitting in a dead call.
"""

from typing import Final, Protocol

from sip_proxy.core.dialog.party import Party
from sip_proxy.core.flow import Flow
from sip_proxy.core.transaction.timers import TimerQueues

_OWED_FOR_S: Final = 64.0


class ByeSender(Protocol):
    """Who can send a BYE to one side of a dialog in the name of the other."""

    def send_bye(
        self, call_id: str, sender: Party, receiver: Party, now: float, *, headers: list[str]
    ) -> None:
        """Send it."""


class _OwedBye:
    """One BYE that is owed; its timer lets go of it."""

    __slots__ = ("call_id", "receiver", "sender", "table")

    def __init__(self, table: "OwedByes", call_id: str, sender: Party, receiver: Party) -> None:
        self.table = table
        self.call_id = call_id
        self.sender = sender
        self.receiver = receiver

    def on_timer(self, event: int, now: float) -> None:
        """It is too late for it."""
        self.table.forget(self)


class OwedByes:
    """All BYEs that are owed, by the number of the phone that they are for."""

    __slots__ = ("_by_number", "_sender", "_timers")

    def __init__(self, sender: ByeSender, timers: TimerQueues) -> None:
        self._sender = sender
        self._timers = timers
        self._by_number: dict[str, list[_OwedBye]] = {}

    def owe(self, call_id: str, sender: Party, receiver: Party, now: float) -> None:
        """Keep a BYE for the receiver."""
        owed = _OwedBye(self, call_id, sender, receiver)
        self._by_number.setdefault(receiver.number, []).append(owed)
        self._timers.start(_OWED_FOR_S, owed, 0, now)

    def pay(self, number: str, flow: Flow, now: float) -> None:
        """A phone of the number registered on this flow: send what is owed to a phone at its address."""
        for owed in self._by_number.get(number, []).copy():
            seen = owed.receiver.flow
            host = seen.remote[0] if isinstance(seen, Flow) else seen.host
            if host == flow.remote[0]:
                self.forget(owed)
                owed.receiver.flow = flow
                self._sender.send_bye(owed.call_id, owed.sender, owed.receiver, now, headers=[])

    def forget(self, owed: _OwedBye) -> None:
        """It was sent, or it is too late."""
        waiting = self._by_number.get(owed.receiver.number, [])
        if owed in waiting:
            waiting.remove(owed)
            if not waiting:
                del self._by_number[owed.receiver.number]
