"""What is counted while the exchange runs, with plain integers: reading them is the metrics' business."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from sip_proxy.adapters.histogram import Histogram

METHODS: Final = {
    method[:3].encode(): method
    for method in (
        *("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER"),
        *("SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "SIP/2.0"),
    )
}
"""What messages begin with, as it is counted: three letters tell all of them apart. (SIP: a response.)"""


@dataclass(slots=True)
class Counts:
    """What the driver has counted since the start."""

    engine_errors: int = 0
    dropped_sends: int = 0
    # Counted for every message: a Counter is several times as dear to write to.
    requests: dict[bytes, int] = field(default_factory=lambda: dict.fromkeys(METHODS, 0))
    other_requests: int = 0
    responses_sent: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    turns: Histogram = field(default_factory=Histogram)
    journal_waits: Histogram = field(default_factory=Histogram)
    ringing: Histogram = field(default_factory=Histogram)
    records: Counter[str] = field(default_factory=Counter)
    security_events: Counter[str] = field(default_factory=Counter)
