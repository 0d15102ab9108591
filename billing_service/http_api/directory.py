"""`GET /internal/v1/directory`: the directory feed of the exchange (`docs/api/internal.md`)."""

import asyncio
from typing import Annotated

from aiohttp import web
from pydantic import Field

from billing_service.domain.permissions import Scope
from billing_service.http_api.answers import AnswerModel
from billing_service.http_api.bodies import RequestModel
from billing_service.http_api.fields import QueryInteger
from billing_service.http_api.operations import Operations
from billing_service.http_api.phone_accounts import AccountState, FilterRuleAnswer
from billing_service.http_api.services import services
from billing_service.storage.change_watch import ChangeWatch
from billing_service.storage.directory_queries import DirectoryChanges, directory_version, read_directory
from billing_service.storage.tables import PhoneAccount

WATCH = web.AppKey("directory_watch", ChangeWatch)

operations = Operations("exchange")


class DirectoryQuery(RequestModel):
    """What the exchange asks: changes since a version, waiting so many seconds for one."""

    since: Annotated[QueryInteger, Field(ge=0, le=2**63 - 1)] = 0
    wait: Annotated[QueryInteger, Field(ge=0, le=60)] = 0


class ExchangeSettingsAnswer(AnswerModel):
    """The settings that the exchange needs. `phone_test_interval_s` 0 switches the test of phones off."""

    concurrent_call_limit: int | None
    emergency_numbers: list[str]
    ring_time_s: int
    phone_test_interval_s: int


class DirectoryAccountAnswer(AnswerModel):
    """What the exchange must know of a phone account."""

    number: str
    state: AccountState
    display_name: str | None
    ha1_md5: str
    ha1_sha256: str
    call_limit: int | None
    outgoing_filter: list[FilterRuleAnswer]
    incoming_filter: list[FilterRuleAnswer]
    block_list: list[str]


class DirectoryAnswer(AnswerModel):
    """The directory, or what has changed of it."""

    version: int
    full: bool
    realm: str
    settings: ExchangeSettingsAnswer
    accounts: list[DirectoryAccountAnswer]
    removed: list[str]


@operations.get("/internal/v1/directory", scope=Scope.EXCHANGE)
async def get_directory(request: web.Request, query: DirectoryQuery) -> DirectoryAnswer:
    """Answer with the directory or its changes; with no change, wait for one."""
    changes = await _changes_since(request, query)
    return DirectoryAnswer(
        version=changes.version,
        full=changes.full,
        realm=services(request).settings.sip_domain,
        settings=ExchangeSettingsAnswer(
            concurrent_call_limit=changes.settings.concurrent_call_limit,
            emergency_numbers=changes.settings.emergency_numbers,
            ring_time_s=changes.settings.ring_time_s,
            phone_test_interval_s=changes.settings.phone_test_interval_s,
        ),
        accounts=[_show(account) for account in changes.accounts],
        removed=list(changes.removed),
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


def _show(account: PhoneAccount) -> DirectoryAccountAnswer:
    return DirectoryAccountAnswer.model_validate(
        {
            "number": account.number,
            "state": account.state,
            "display_name": account.display_name,
            "ha1_md5": account.ha1_md5,
            "ha1_sha256": account.ha1_sha256,
            "call_limit": account.call_limit,
            "outgoing_filter": account.outgoing_filter,
            "incoming_filter": account.incoming_filter,
            "block_list": account.block_list if account.blocking_permitted else [],
        }
    )
