"""What leaves the exchange: messages to phones, and word to the delivery that records are on disk.

Sends that must wait for the journal are held until their facts are there (`held_sends.py`). Other sends
overtake them: SIP promises no order between transactions, and within one nothing but the same answer follows
a final answer.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from sip_proxy.adapters.journal_store import Fact
from sip_proxy.adapters.trace import Trace
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.outputs import CallRecorded, Send
from sip_proxy.counts import Counts
from sip_proxy.held_sends import HeldSends
from sip_proxy.transport.handler import MessageSender


class FactKeeper(Protocol):
    """The journal, as the exchange uses it."""

    @property
    def position(self) -> int:
        """How many facts were handed over."""

    def append(self, facts: list[Fact], *, is_awaited: bool) -> int:
        """Hand over facts; return the position of the last. `is_awaited`: a message waits for them."""


class Outbox:
    """Hands facts to the journal and messages to the transports, these after those where it matters."""

    def __init__(
        self,
        *,
        journal: FactKeeper,
        senders: Mapping[Transport, MessageSender],
        on_records: Callable[[int], None],
        trace: Trace,
        counts: Counts,
    ) -> None:
        """`on_records` hears how many call records have reached the disk."""
        self._journal = journal
        self._senders = senders
        self._on_records = on_records
        self._trace = trace
        self._counts = counts
        self._held = HeldSends()
        self._committed = 0
        # Positions of facts that are records: told on when they are committed.
        self._record_positions: deque[int] = deque()
        # The facts of this turn, and the position of the last: handed over together when it ends.
        self._facts: list[Fact] = []
        self._position = journal.position
        self._is_awaited = False
        self._is_failing = False  # the journal can't be written
        self.has_news_for_journal = False
        """Whether there is something to hand over: an attribute, because every turn asks."""
        self.unable_to_send: list[tuple[bytes, Flow | Destination]] = []
        """What could not be sent, and to whom; whoever tells the engine of it clears it."""

    @property
    def waiting_facts(self) -> int:
        """How many facts are not on disk yet."""
        return self._position - self._committed

    @property
    def held_sends(self) -> int:
        """How many messages wait for the disk."""
        return len(self._held)

    def keep(self, fact: Fact) -> None:
        """Keep a fact in the journal."""
        self._facts.append(fact)
        self._position += 1
        self.has_news_for_journal = True
        if type(fact) is CallRecorded:
            self._record_positions.append(self._position)

    def send_after_facts(self, send: Send, now: float) -> None:
        """Send a message as soon as every fact before it is on disk."""
        if self._position <= self._committed or (send.or_failure and self._is_failing):
            self.send(send, now)
        else:
            self._held.hold(send, self._position, now)
            self._is_awaited = self.has_news_for_journal = True

    def send(self, send: Send, now: float) -> None:
        """Send a message at once."""
        to, data = send.to, send.data
        sender = self._senders.get(to.transport)
        if sender is None:
            self.unable_to_send.append((data, to))
            return
        if data.startswith(b"SIP/"):
            self._counts.responses_sent[data[8:11]] += 1
        self._trace.went(data, to, now)
        sender.send(data, to)

    def hand_over_facts(self) -> None:
        """Let the journal write what has come up in this turn."""
        self._journal.append(self._facts, is_awaited=self._is_awaited)
        self._facts = []
        self._is_awaited = self.has_news_for_journal = False

    def committed(self, position: int, now: float) -> None:
        """All facts up to this position are on disk: sends that waited for them leave."""
        self._committed = position
        for send, held_at in self._held.release(position):
            self._counts.journal_waits.observe(now - held_at)
            self.send(send, now)
        records = 0
        while self._record_positions and self._record_positions[0] <= position:
            self._record_positions.popleft()
            records += 1
        if records:
            self._on_records(records)

    def journal_failed(self, now: float) -> None:
        """Facts can't be written at present: messages leave that are worth more to their receivers now."""
        self._is_failing = True
        for send, _ in self._held.release_despite_failure():
            self.send(send, now)

    def journal_recovered(self) -> None:
        """Facts can be written again."""
        self._is_failing = False

    def drop_old(self, now: float) -> None:
        """Let go of messages that nobody waits for any longer."""
        self._counts.dropped_sends += self._held.drop_old(now)
