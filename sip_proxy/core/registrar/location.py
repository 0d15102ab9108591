"""The location table: the bindings of every number."""

from heapq import heapify, heappop, heappush
from typing import Final

from sip_proxy.core.flow import Flow
from sip_proxy.core.registrar.binding import Binding
from sip_proxy.core.registrar.nat_flows import NatFlows

_MOST_STALE: Final = 1024


class LocationTable:
    """All bindings by number, and by the connection or NAT that they are reached over.

    What has expired is out of sight at once and is cleared away by `expire`.
    """

    __slots__ = ("_by_number", "_expiries", "_numbers_by_flow", "nat_flows")

    def __init__(self) -> None:
        self.nat_flows = NatFlows()
        self._by_number: dict[str, tuple[Binding, ...]] = {}
        self._numbers_by_flow: dict[Flow, set[str]] = {}
        # For every number an instant no later than that of its first binding to expire. A refresh leaves it
        # as it is: the next instant is looked for when this one comes.
        self._expiries: list[tuple[float, str]] = []

    def find(self, number: str, now: float) -> tuple[Binding, ...]:
        """Return the bindings of a number that are in force."""
        bindings = self._by_number.get(number, ())
        for binding in bindings:
            if binding.expires_at <= now:
                return tuple(each for each in bindings if each.expires_at > now)
        return bindings

    def replace(self, number: str, bindings: tuple[Binding, ...]) -> None:
        """Put these in place of the bindings of a number."""
        before = self._by_number.get(number, ())
        for binding in before:
            self._forget_flow(number, binding.flow)
        if not bindings:
            self._by_number.pop(number, None)
            return
        self._by_number[number] = bindings
        for binding in bindings:
            if binding.flow.transport.is_reliable:
                self._numbers_by_flow.setdefault(binding.flow, set()).add(number)
            elif not binding.is_direct:
                self._numbers_by_flow.setdefault(binding.flow, set()).add(number)
                self.nat_flows.add(binding.flow)
        expires_at = _first_expiry(bindings)
        if not before or expires_at < _first_expiry(before):
            heappush(self._expiries, (expires_at, number))
        if len(self._expiries) > 4 * len(self._by_number) + _MOST_STALE:
            self._rebuild_expiries()

    def numbers_on(self, flow: Flow) -> set[str]:
        """Return the numbers with a binding that is reached over this connection."""
        return set(self._numbers_by_flow.get(flow, ()))

    def next_deadline(self) -> float | None:
        """Return when the next binding may expire, or None."""
        return self._expiries[0][0] if self._expiries else None

    def expire(self, now: float) -> list[str]:
        """Drop what has expired; return the numbers that lost a binding."""
        changed = []
        while self._expiries and self._expiries[0][0] <= now:
            number = heappop(self._expiries)[1]
            bindings = self._by_number.get(number, ())
            remaining = tuple(binding for binding in bindings if binding.expires_at > now)
            if remaining:
                heappush(self._expiries, (_first_expiry(remaining), number))
            if len(remaining) < len(bindings):
                self._drop_to(number, remaining)
                changed.append(number)
        return changed

    def items(self) -> list[tuple[str, tuple[Binding, ...]]]:
        """Return every number that has bindings, with them."""
        return list(self._by_number.items())

    def _rebuild_expiries(self) -> None:
        """Let go of what numbers that came and went have left."""
        self._expiries = [(_first_expiry(bindings), number) for number, bindings in self._by_number.items()]
        heapify(self._expiries)

    def _drop_to(self, number: str, remaining: tuple[Binding, ...]) -> None:
        """Like `replace`, for bindings whose expiries are known already."""
        for binding in self._by_number[number]:
            if binding not in remaining:
                self._forget_flow(number, binding.flow)
        if remaining:
            self._by_number[number] = remaining
        else:
            del self._by_number[number]

    def _forget_flow(self, number: str, flow: Flow) -> None:
        numbers = self._numbers_by_flow.get(flow)
        if numbers is not None:
            numbers.discard(number)
            if not numbers:
                del self._numbers_by_flow[flow]
                self.nat_flows.discard(flow)


def _first_expiry(bindings: tuple[Binding, ...]) -> float:
    if len(bindings) == 1:
        return bindings[0].expires_at
    return min(binding.expires_at for binding in bindings)
