"""A call as JSON text, to survive a restart."""

import json
from json.encoder import encode_basestring_ascii as _text
from typing import Any

from sip_proxy.core.dialog.call import Call, CallKeeper
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.outputs import LiveCallState
from sip_proxy.core.registrar.binding import flow_from_json, flow_text

_BOOLEAN = {False: "false", True: "true"}


def save_call(call: Call) -> str:
    """Write an answered call.

    Formatted by hand, as this is done for every call and costs a quarter of what a general encoder does.
    """
    assert call.called is not None
    return (
        f'{{"record_id":{_text(call.record_id)},"call_id":{_text(call.call_id)},"callee":{_text(call.callee)},'
        f'"emergency":{_BOOLEAN[call.emergency]},"invited_at":{call.invited_at!r},'
        f'"ringing_at":{_instant(call.ringing_at)},"answered_at":{_instant(call.answered_at)},'
        f'"acknowledged_at":{_instant(call.acknowledged_at)},"answered_on_clock":{call.answered_on_clock!r},'
        f'"session_interval_s":{call.session_interval_s},'
        f'"calling":{_party_text(call.calling)},"called":{_party_text(call.called)}}}'
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
    call.saved_on_clock = call.restored_on_clock = now
    call.agree_on_session(saved.get("session_interval_s", 0), now)
    return call


def _party_text(party: Party) -> str:
    flow = party.flow
    if isinstance(flow, Flow):
        where = f'"flow":{flow_text(flow)},"destination":null'
    else:
        where = f'"flow":null,"destination":["{flow.transport.token}",{_text(flow.host)},{flow.port}]'
    routes = ",".join(map(_text, party.route_set))
    return (
        f'{{"number":{_text(party.number)},"address":{_text(party.address)},"tag":{_text(party.tag)},'
        f'"contact":{_text(party.contact)},"route_set":[{routes}],"cseq":{party.cseq},'
        f'"is_direct":{_BOOLEAN[party.is_direct]},"seen_at":{party.seen_at!r},{where}}}'
    )


def _instant(instant: float | None) -> str:
    return "null" if instant is None else repr(instant)


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
