"""The UDP flows that go through a NAT, in slots that take turns."""

from typing import Final

from sip_proxy.core.flow import Flow

SLOTS: Final = 25


class NatFlows:
    """A set of flows, cut into slots of about the same size."""

    __slots__ = ("_count", "_next", "_slots")

    def __init__(self) -> None:
        self._slots: list[set[Flow]] = [set() for _ in range(SLOTS)]
        self._next = 0
        self._count = 0

    def add(self, flow: Flow) -> None:
        """Put a flow in; twice is once."""
        slot = self._slots[hash(flow) % SLOTS]
        if flow not in slot:
            slot.add(flow)
            self._count += 1

    def discard(self, flow: Flow) -> None:
        """Take a flow out, if it is in."""
        slot = self._slots[hash(flow) % SLOTS]
        if flow in slot:
            slot.discard(flow)
            self._count -= 1

    def next_turn(self) -> list[Flow]:
        """Return the flows of the slot whose turn it is; in `SLOTS` calls everybody has had a turn."""
        slot = self._slots[self._next]
        self._next = (self._next + 1) % SLOTS
        return list(slot)

    def __bool__(self) -> bool:
        return self._count > 0
