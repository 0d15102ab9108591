"""Past calls: search by number and time, and one call with its price explained."""

from datetime import datetime

from aiohttp import web

from admin_web.billing_models import Call, Outcome, Page
from admin_web.formatting import Formats
from admin_web.keys import BILLING_INFO
from admin_web.pages.acting import billing_of, text_field
from admin_web.rendering import Part, fetch_part, render

SEARCH_FIELDS = ("number", "outcome", "from", "to", "cursor")


async def show_calls(request: web.Request) -> web.Response:
    formats = await request.app[BILLING_INFO].formats()
    search = {name: text_field(request, name, longest=500) for name in SEARCH_FIELDS}
    since, problem_since = _instant(formats, search["from"])
    until, problem_until = _instant(formats, search["to"])
    problem = problem_since or problem_until
    if problem:
        calls: Part[Page[Call]] = Part(None, problem=problem)
    else:
        calls = await fetch_part(
            billing_of(request).calls(
                number=search["number"],
                outcome=search["outcome"],
                since=formats.iso(since),
                until=formats.iso(until),
                cursor=search["cursor"],
            )
        )
    context = {"calls": calls, "search": search, "outcomes": list(Outcome)}
    return await render(request, "calls.html", context)


async def show_call(request: web.Request) -> web.Response:
    call = await billing_of(request).call(request.match_info["record"])
    return await render(request, "call.html", {"call": call})


def _instant(formats: Formats, text: str) -> tuple[datetime | None, str]:
    try:
        return formats.parse_local(text), ""
    except ValueError:
        return None, f"“{text}” is no date and time; write it as 2026-11-21T20:15."


ROUTES = [web.get("/calls", show_calls), web.get(r"/calls/{record:[0-9A-Za-z_-]{1,64}}", show_call)]
