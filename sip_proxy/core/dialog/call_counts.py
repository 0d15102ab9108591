"""How many calls are going on, for the limits of the exchange and of each account."""

from sip_proxy.core.dialog.call import Call


class CallCounts:
    """Counts calls that aren't over, in total and by number.

    A call counts for both its numbers, as it takes a line of each phone; once for a number that calls
    itself. Calls to emergency numbers don't count: they are never limited, and limit nobody.
    """

    __slots__ = ("_by_number", "total")

    def __init__(self) -> None:
        self.total = 0
        self._by_number: dict[str, int] = {}

    def of(self, number: str) -> int:
        """Count the calls that this number made or gets."""
        return self._by_number.get(number, 0)

    def add(self, call: Call) -> None:
        """A call began."""
        if call.emergency:
            return
        self.total += 1
        by_number = self._by_number
        for number in _numbers(call):
            by_number[number] = by_number.get(number, 0) + 1

    def remove(self, call: Call) -> None:
        """A call is over."""
        if call.emergency:
            return
        self.total -= 1
        for number in _numbers(call):
            remaining = self._by_number[number] - 1
            if remaining:
                self._by_number[number] = remaining
            else:
                del self._by_number[number]


def _numbers(call: Call) -> tuple[str, ...]:
    caller, callee = call.caller, call.callee
    return (caller,) if caller == callee else (caller, callee)
