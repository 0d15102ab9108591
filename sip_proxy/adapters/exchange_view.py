"""Live calls and registrations as the control API shows them (`docs/api/control.md`)."""

from sip_proxy.adapters.instants import rfc3339, rfc3339_or_none
from sip_proxy.core.flow import Flow
from sip_proxy.core.outputs import LiveCall, PhoneTested, Registration, SecurityEvent

Json = dict[str, object]


def call_document(call: LiveCall) -> Json:
    """Write a live call."""
    return {
        "id": call.id,
        "call_id": call.call_id,
        "caller": call.caller,
        "callee": call.callee,
        "state": call.state.value,
        "emergency": call.emergency,
        "invited_at": rfc3339(call.invited_at),
        "ringing_at": rfc3339_or_none(call.ringing_at),
        "answered_at": rfc3339_or_none(call.answered_at),
    }


def registration_document(registration: Registration) -> Json:
    """Write one binding of a number."""
    return {
        "number": registration.number,
        "contact": registration.contact,
        "transport": registration.transport,
        "source": registration.source,
        "user_agent": registration.user_agent,
        "registered_at": rfc3339(registration.registered_at),
        "expires_at": rfc3339(registration.expires_at),
        "in_service": registration.in_service,
    }


def phone_test_document(result: PhoneTested) -> Json:
    """Write what came of testing a phone."""
    round_trip_s = result.round_trip_s
    return {
        "number": result.number,
        "contact": result.contact,
        "ok": result.ok,
        "status": result.status,
        "round_trip_ms": None if round_trip_s is None else round(round_trip_s * 1000, 1),
        "in_service": result.in_service,
        "at": rfc3339(result.at),
    }


def security_document(event: SecurityEvent, at: float) -> Json:
    """Write something that may be an attack."""
    return {
        "kind": event.kind.value,
        "source": source_of(event.flow),
        "number": event.number,
        "detail": event.detail,
        "at": rfc3339(at),
    }


def source_of(flow: Flow) -> str:
    """Write where a message came from: `192.0.2.1:5062`, `[2001:db8::1]:5062`."""
    host, port = flow.remote
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
