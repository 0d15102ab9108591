"""A call as text, to survive a restart.

A value a line, as no header and no number can hold a line break: so nothing must be quoted. Text that isn't
ASCII is one JSON string.
"""

import json
import struct
from collections.abc import Iterator
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Final

from sip_proxy.core.dialog.call import Call, CallKeeper
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.outputs import LiveCallState
from sip_proxy.core.registrar.binding import LATEST_INSTANT, address_in, flow_from_json, flow_text

# Invited, ringing, answered, acknowledged (wall clock, 0 for never); answered, last sign of life of each side
# (monotonic). Their bytes in hexadecimal are exact, and take a tenth of the time that decimal digits do.
_INSTANTS: Final = struct.Struct(">7d")
# With the five minutes after which a call is saved again. A clock of another time zone is further off.
_LONGEST_REBOOT_S: Final = 1800.0


def save_call(call: Call) -> str:
    """Write an answered call."""
    calling, called = call.calling, call.called
    assert called is not None
    instants = _INSTANTS.pack(
        call.invited_at,
        call.ringing_at or 0.0,
        call.answered_at or 0.0,
        call.acknowledged_at or 0.0,
        call.answered_on_clock,
        calling.seen_at,
        called.seen_at,
    )
    text = (
        f"{call.record_id}\n{call.call_id}\n{call.callee}\n{'1' if call.emergency else '0'}\n"
        f"{call.session_interval_s}\n{instants.hex()}\n{_party_text(calling)}{_party_text(called)}"
    )
    return text if text.isascii() else encode_basestring_ascii(text)


def load_call(state: str, keeper: CallKeeper, *, now: float, wall: float, same_boot: bool) -> Call:
    """Read what `save_call` writes, or once wrote as a JSON object.

    In the same boot the monotonic clock went on, so the duration will be exact; else it is taken from the
    wall clock, if that can be right. A session interval begins anew, because refreshes were missed while
    there was no exchange.
    """
    if state.startswith("{"):
        state = _lines_of_json(state)
    elif state.startswith('"'):
        state = json.loads(state)
    lines = iter(state.split("\n"))
    record_id, call_id, callee, emergency, session_interval_s, instants = islice(lines, 6)
    unpacked = _INSTANTS.unpack(bytes.fromhex(instants))
    if not all(0 <= instant <= LATEST_INSTANT for instant in unpacked):
        raise ValueError("no instants")
    invited_at, ringing_at, answered_at, acknowledged_at, answered_on_clock, *seen_at = unpacked
    # A call lasted to its last sign of life at least. After a reboot the wall clock may not be set yet, and
    # may be hours ahead: what it says since then counts only when it is no longer than a reboot takes.
    elapsed_s = max(0.0, *(instant - answered_on_clock for instant in seen_at))
    unproved_s = wall - answered_at - elapsed_s
    if 0 < unproved_s <= _LONGEST_REBOOT_S:
        elapsed_s += unproved_s
    # What to add to instants on the clock that the call was saved by.
    clock_offset = 0.0 if same_boot else now - elapsed_s - answered_on_clock
    calling, called = [_party_from(lines, instant + clock_offset) for instant in seen_at]
    call = Call(record_id, call_id, calling, callee, emergency == "1", invited_at, keeper)
    call.called = called
    call.state = LiveCallState.ANSWERED
    call.ringing_at = ringing_at or None
    call.answered_at = answered_at
    call.acknowledged_at = acknowledged_at or None
    call.answered_on_clock = answered_on_clock + clock_offset
    call.saved_on_clock = call.restored_on_clock = now
    call.agree_on_session(int(session_interval_s), now)
    return call


def _party_text(party: Party) -> str:
    flow, routes = party.flow, party.route_set
    if isinstance(flow, Flow):
        where = flow_text(flow)
    else:
        where = json.dumps([flow.transport.value, flow.host, flow.port])
    if routes:
        where = "\n".join((where, *routes))
    return (
        f"{party.number}\n{party.address}\n{party.tag}\n{party.contact}\n{party.cseq}\n"
        f"{'1' if party.is_direct else '0'}\n{len(routes)}\n{where}\n"
    )


def _party_from(lines: Iterator[str], seen_at: float) -> Party:
    number, address, tag, contact, cseq, is_direct, routes, destination = islice(lines, 8)
    where = json.loads(destination)
    route_set = tuple(islice(lines, int(routes)))
    if len(route_set) < int(routes):
        raise ValueError("cut short")
    flow: Flow | Destination
    if len(where) == 3:
        transport, host, port = where
        flow = Destination(Transport(transport), *address_in(host, port))
    else:
        flow = flow_from_json(where)
    return Party(
        number=number,
        address=address,
        tag=tag,
        contact=contact,
        route_set=route_set,
        cseq=int(cseq),
        flow=flow,
        is_direct=is_direct == "1",
        seen_at=seen_at,
    )


def _lines_of_json(state: str) -> str:
    """Write what stands in such a JSON object as `save_call` does now."""
    saved = json.loads(state)
    parties = (saved["calling"], saved["called"])
    instants = _INSTANTS.pack(
        saved["invited_at"],
        saved["ringing_at"] or 0.0,
        saved["answered_at"],
        saved["acknowledged_at"] or 0.0,
        saved["answered_on_clock"],
        *(party.get("seen_at", 0.0) for party in parties),
    )
    lines = [saved["record_id"], saved["call_id"], saved["callee"], int(saved["emergency"])]
    lines += [saved.get("session_interval_s", 0), instants.hex()]
    for party in parties:
        lines += [party["number"], party["address"], party["tag"], party["contact"], party["cseq"]]
        lines += [int(party["is_direct"]), len(party["route_set"])]
        lines += [json.dumps(party["flow"] or party["destination"]), *party["route_set"]]
    return "\n".join(map(str, lines))
