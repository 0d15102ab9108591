"""Call records as the journal keeps them and billing receives them (`docs/api/internal.md`)."""

from json.encoder import encode_basestring_ascii as _text
from typing import Final

from sip_proxy.adapters.instants import rfc3339
from sip_proxy.core.dialog.call_record import CallRecord

_BOOLEAN: Final = {False: "false", True: "true"}


def record_json(record: CallRecord) -> str:
    """Write a call record as a JSON document."""
    return (
        f'{{"record_id":{_text(record.record_id)},"call_id":{_text(_storable(record.call_id))},'
        f'"caller":{_text(_storable(record.caller))},"callee":{_text(_storable(record.callee))},'
        f'"emergency":{_BOOLEAN[record.emergency]},"invited_at":{_instant(record.invited_at)},'
        f'"ringing_at":{_instant(record.ringing_at)},"answered_at":{_instant(record.answered_at)},'
        f'"acknowledged_at":{_instant(record.acknowledged_at)},"ended_at":{_instant(record.ended_at)},'
        f'"duration_us":{record.duration_us},"outcome":"{record.outcome.value}","status":{record.status},'
        f'"reason":{_text(_storable(record.reason))},"ended_by":"{record.ended_by.value}"}}'
    )


def _instant(instant: float | None) -> str:
    return "null" if instant is None else f'"{rfc3339(instant)}"'


def _storable(text: str) -> str:
    """Replace what a phone may send and no database takes: NUL, and bytes that were not UTF-8."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
