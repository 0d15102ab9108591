"""What the exchange can be asked in numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping

from sip_proxy.adapters.delivery import Delivery
from sip_proxy.adapters.journal import Journal
from sip_proxy.adapters.metrics import Duration, Measurement
from sip_proxy.core.engine import Engine
from sip_proxy.core.flow import Transport
from sip_proxy.counts import METHODS
from sip_proxy.driver import Driver
from sip_proxy.transport.source_limit import SourceLimiter
from sip_proxy.transport.stream import StreamTransport
from sip_proxy.transport.udp import UdpTransport
from sip_proxy.transport.websocket import WebSocketTransport


def measurements_of(
    *,
    engine: Engine,
    driver: Driver,
    journal: Journal,
    delivery: Delivery,
    udp: UdpTransport,
    streams: Mapping[Transport, StreamTransport | WebSocketTransport],
    limiter: SourceLimiter,
) -> Iterator[Measurement | Duration]:
    """Yield every measurement of the exchange."""
    carriers: dict[str, UdpTransport | StreamTransport | WebSocketTransport] = {
        "UDP": udp,
        **{transport.value: stream for transport, stream in streams.items()},
    }
    counts = driver.counts

    yield Measurement.gauge("live_calls", "Calls being set up or talked on", lambda: len(engine.live_calls()))
    yield Measurement.gauge("registrations", "Bindings of phones", lambda: len(engine.registrations()))
    yield Measurement.gauge("accounts", "Accounts in the directory", lambda: len(engine.directory.accounts))
    yield Measurement.gauge("directory_version", "Version of the directory", lambda: engine.directory.version)
    yield Measurement.gauge(
        "journal_available", "1 while calls can be kept", lambda: int(engine.journal_available)
    )
    yield Measurement.gauge(
        "undelivered_records", "Call records that billing has not confirmed", lambda: delivery.undelivered
    )
    yield Measurement.gauge(
        "journal_waiting_facts", "Facts that are not on disk yet", lambda: driver.waiting_facts
    )
    yield Measurement.gauge("held_messages", "Messages that wait for the disk", lambda: driver.held_sends)
    yield Measurement.gauge("online", "1 while new calls are taken", lambda: int(engine.online))
    yield Measurement.counter(
        "records_delivered", "Call records that billing has confirmed", lambda: delivery.delivered_count
    )
    yield Measurement.counter(
        "records_rejected", "Call records that billing can't charge", lambda: delivery.rejected_count
    )
    yield Measurement.counter("call_attempts", "Call attempts by outcome", lambda: counts.records, "outcome")
    yield Measurement.counter(
        "attempts_dropped",
        "Unanswered attempts let go while the disk was away",
        lambda: journal.dropped_attempts,
    )
    yield Measurement.counter(
        "security_events", "What may be attacks, by kind", lambda: counts.security_events, "kind"
    )
    yield Measurement.counter("engine_errors", "Errors of the exchange's own", lambda: counts.engine_errors)
    yield Measurement.counter(
        "sends_dropped", "Messages that waited too long for the journal", lambda: counts.dropped_sends
    )
    yield Measurement.counter(
        "requests_received",
        "SIP requests received, their repetitions included",
        lambda: {
            **{method: counts.requests[key] for key, method in METHODS.items() if key != b"SIP"},
            "other": counts.other_requests,
        },
        "method",
    )
    yield Measurement.counter("responses_received", "SIP responses received", lambda: counts.requests[b"SIP"])
    yield Measurement.counter(
        "responses_sent",
        "SIP responses sent, ours and those passed on",
        lambda: {key.decode("ascii", "replace"): count for key, count in counts.responses_sent.items()},
        "status",
    )
    yield Duration(
        "turn", "From the arrival of a message to its results being sent, or held for the disk", counts.turns
    )
    yield Duration(
        "journal_wait", "How long messages waited until the journal was on disk", counts.journal_waits
    )
    yield Duration(
        "call_ringing",
        "From INVITE to ringing, the called phone's own time included",
        counts.ringing,
    )
    yield Measurement.counter(
        "messages_received",
        "SIP messages received",
        lambda: {name: carrier.received_count for name, carrier in carriers.items()},
        "transport",
    )
    yield Measurement.counter(
        "messages_sent",
        "SIP messages sent",
        lambda: {name: carrier.sent_count for name, carrier in carriers.items()},
        "transport",
    )
    yield Measurement.counter(
        "messages_limited",
        "Messages not looked at because their source sent too many",
        lambda: limiter.dropped_count,
    )
    yield Measurement.counter(
        "messages_unsent",
        "SIP messages that could not be sent",
        lambda: {name: carrier.unsent_count for name, carrier in carriers.items()},
        "transport",
    )
    yield Measurement.gauge(
        "connections",
        "Connections of phones",
        lambda: {name.value: stream.connection_count for name, stream in streams.items()},
        "transport",
    )
    yield Measurement.counter(
        "connections_refused",
        "Connections refused for lack of room",
        lambda: {name.value: stream.admission.refused_count for name, stream in streams.items()},
        "transport",
    )
    yield Measurement.counter(
        "connections_dropped",
        "Connections dropped, by reason",
        lambda: sum((stream.admission.dropped for stream in streams.values()), Counter()),
        "reason",
    )
