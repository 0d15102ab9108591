"""A call as JSON text, to survive a restart."""

import json
from typing import Any

from sip_proxy.core.dialog.call import Call, CallKeeper
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.outputs import LiveCallState
from sip_proxy.core.registrar.binding import flow_from_json, flow_to_json


def save_call(call: Call) -> str:
    """Write an answered call."""
    assert call.called is not None
    return json.dumps(
        {
            "record_id": call.record_id,
            "call_id": call.call_id,
            "callee": call.callee,
            "emergency": call.emergency,
            "invited_at": call.invited_at,
            "ringing_at": call.ringing_at,
            "answered_at": call.answered_at,
            "acknowledged_at": call.acknowledged_at,
            "answered_on_clock": call.answered_on_clock,
            "session_interval_s": call.session_interval_s,
            "calling": _party_to_json(call.calling),
            "called": _party_to_json(call.called),
        },
        separators=(",", ":"),
    )


def load_call(state: str, keeper: CallKeeper, *, now: float, wall: float, same_boot: bool) -> Call:
    """Read what `save_call` wrote.

    In the same boot the monotonic clock went on, so the duration will be exact; else it is taken from the
    wall clock. A session interval begins anew, because refreshes were missed while there was no exchange.
    """
    saved = json.loads(state)
    elapsed_s = max(0.0, wall - saved["answered_at"])
    # What to add to instants on the clock that the call was saved by.
    clock_offset = 0.0 if same_boot else now - elapsed_s - saved["answered_on_clock"]
    call = Call(
        record_id=saved["record_id"],
        call_id=saved["call_id"],
        callee=saved["callee"],
        emergency=saved["emergency"],
        calling=_party_from_json(saved["calling"], clock_offset),
        invited_at=saved["invited_at"],
        keeper=keeper,
    )
    call.called = _party_from_json(saved["called"], clock_offset)
    call.state = LiveCallState.ANSWERED
    call.ringing_at = saved["ringing_at"]
    call.answered_at = saved["answered_at"]
    call.acknowledged_at = saved["acknowledged_at"]
    call.answered_on_clock = saved["answered_on_clock"] + clock_offset
    call.saved_on_clock = now
    call.agree_on_session(saved.get("session_interval_s", 0), now)
    return call


def _party_to_json(party: Party) -> dict[str, Any]:
    flow = party.flow
    return {
        "number": party.number,
        "address": party.address,
        "tag": party.tag,
        "contact": party.contact,
        "route_set": party.route_set,
        "cseq": party.cseq,
        "is_direct": party.is_direct,
        "seen_at": party.seen_at,
        "flow": flow_to_json(flow) if isinstance(flow, Flow) else None,
        "destination": None if isinstance(flow, Flow) else [flow.transport.value, flow.host, flow.port],
    }


def _party_from_json(saved: dict[str, Any], clock_offset: float) -> Party:
    flow: Flow | Destination
    if saved["flow"] is not None:
        flow = flow_from_json(saved["flow"])
    else:
        transport, host, port = saved["destination"]
        flow = Destination(Transport(transport), host, port)
    return Party(
        number=saved["number"],
        address=saved["address"],
        tag=saved["tag"],
        contact=saved["contact"],
        route_set=tuple(saved["route_set"]),
        cseq=saved["cseq"],
        flow=flow,
        is_direct=saved["is_direct"],
        seen_at=saved.get("seen_at", 0.0) + clock_offset,
    )
