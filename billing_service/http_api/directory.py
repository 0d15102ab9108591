"""`GET /internal/v1/directory`: the directory feed of the exchange (`docs/api/internal.md`)."""

import asyncio
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from billing_service.http_api.bodies import RequestModel, read_query
from billing_service.http_api.fields import QueryInteger
from billing_service.http_api.services import services
from billing_service.storage.change_watch import ChangeWatch
from billing_service.storage.directory_queries import DirectoryChanges, directory_version, read_directory
from billing_service.storage.tables import PhoneAccount

WATCH = web.AppKey("directory_watch", ChangeWatch)

routes = web.RouteTableDef()


class DirectoryQuery(RequestModel):
    """What the exchange asks: changes since a version, waiting so many seconds for one."""

    since: Annotated[QueryInteger, Field(ge=0, le=2**63 - 1)] = 0
    wait: Annotated[QueryInteger, Field(ge=0, le=60)] = 0


@routes.get("/internal/v1/directory")
async def get_directory(request: web.Request) -> web.Response:
    """Answer with the directory or its changes; with no change, wait for one."""
    query = read_query(request, DirectoryQuery)
    changes = await _changes_since(request, query)
    realm = services(request).settings.sip_domain
    return web.json_response(
        {
            "version": changes.version,
            "full": changes.full,
            "realm": realm,
            "settings": {
                "concurrent_call_limit": changes.settings.concurrent_call_limit,
                "emergency_numbers": changes.settings.emergency_numbers,
                "ring_time_s": changes.settings.ring_time_s,
            },
            "accounts": [_show(account) for account in changes.accounts],
            "removed": changes.removed,
        }
    )


async def _changes_since(request: web.Request, query: DirectoryQuery) -> DirectoryChanges:
    database, watch = services(request).database, request.app[WATCH]
    deadline = asyncio.get_running_loop().time() + query.wait
    while True:
        # Taken before reading: a change between the reading and the waiting must not be slept through.
        change = watch.next_change()
        version = await database.run(directory_version)
        left_s = deadline - asyncio.get_running_loop().time()
        if version != query.since or left_s <= 0 or watch.closed:
            return await database.run(
                lambda session: read_directory(session, since=query.since), one_snapshot=True
            )
        try:
            async with asyncio.timeout(left_s):
                await change.wait()
        except TimeoutError:
            continue


def _show(account: PhoneAccount) -> dict[str, Any]:
    return {
        "number": account.number,
        "state": account.state,
        "display_name": account.display_name,
        "ha1_md5": account.ha1_md5,
        "ha1_sha256": account.ha1_sha256,
        "call_limit": account.call_limit,
        "outgoing_filter": account.outgoing_filter,
        "incoming_filter": account.incoming_filter,
        "block_list": account.block_list,
    }
