"""One call as each exchange writes it in its file, and what calls that come in so are priced by."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlalchemy.orm import Session

from billing_service.storage.tables import SystemSettings
from tests.support.billing import Billing


def _shown(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def asterisk_line(
    caller: str,
    callee: str,
    answered_at: datetime,
    duration_s: int,
    *,
    number: int = 1,
    zone: str = "UTC",
    uniqueid: bool = True,
) -> str:
    """An answered call in `Master.csv`, answered four seconds after it was dialled."""
    start, end = answered_at - timedelta(seconds=4), answered_at + timedelta(seconds=duration_s)
    line = (
        f'"","{caller}","{callee}","internal","""Alice, ""A"""" <{caller}>","SIP/{caller}-{number:08x}",'
        f'"SIP/{callee}-{number + 1:08x}","Dial","SIP/{callee},60","{_shown(start, zone)}",'
        f'"{_shown(answered_at, zone)}","{_shown(end, zone)}",{duration_s + 4},{duration_s},'
        '"ANSWERED","DOCUMENTATION"'
    )
    return f'{line},"1456758000.{number}",""\n' if uniqueid else f"{line}\n"


def freeswitch_line(
    caller: str, callee: str, answered_at: datetime, duration_s: int, *, number: int = 1, zone: str = "UTC"
) -> str:
    """An answered call in a file of `cdr_csv`, by its default template."""
    start, end = answered_at - timedelta(seconds=4), answered_at + timedelta(seconds=duration_s)
    return (
        f'"Alice Example","{caller}","{callee}","default","{_shown(start, zone)}",'
        f'"{_shown(answered_at, zone)}","{_shown(end, zone)}","{duration_s + 4}","{duration_s}",'
        '"NORMAL_CLEARING",'
        f'"0d7a3f1e-2c4b-11ef-8c55-{number:012x}","","{caller}","PCMU","PCMU"\n'
    )


KAMAILIO_HEADER = "id,start_time,end_time,duration,callid,src_user,dst_user\n"


def kamailio_line(
    caller: str, callee: str, answered_at: datetime, duration_s: int, *, number: int = 1, zone: str = "UTC"
) -> str:
    """A call in an export of `acc_cdrs`."""
    end = answered_at + timedelta(seconds=duration_s)
    return (
        f"{number},{_shown(answered_at, zone)},{_shown(end, zone)},{duration_s}.000,"
        f"call-{number}@10.0.0.1,{caller},{callee}\n"
    )


# 0.36 for each call and 0.09 for each completed minute, free from 22:00 to 06:00.
EXAMPLE_PRICE: dict[str, Any] = {
    "standing_charge": "0.36",
    "per_minute": "0.09",
    "counting": "completed",
    "windows": [{"weekday": None, "from": "22:00", "to": "06:00", "per_minute": "0.00"}],
}
# 0.10 for each started minute, 0.05 from 08:00 to 12:00.
MORNING_PRICE: dict[str, Any] = {
    "per_minute": "0.10",
    "windows": [{"weekday": None, "from": "08:00", "to": "12:00", "per_minute": "0.05"}],
}


async def set_default_plan(billing: Billing, base_price: dict[str, Any] | None = None, **fields: Any) -> int:
    """Make a plan without a monthly fee and give it to whoever is nobody's; return its id."""
    plan_id = await billing.add_plan(
        "Default", **{"monthly_fee": "0", "base_price": base_price or EXAMPLE_PRICE, **fields}
    )

    def change(session: Session) -> None:
        session.execute(update(SystemSettings).values(default_plan_id=plan_id))

    billing.database.run_blocking(change)
    return plan_id
