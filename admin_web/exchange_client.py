"""The control API of the exchange as typed calls (`docs/api/control.md`)."""

from collections.abc import AsyncGenerator
from typing import Final

import aiohttp
from pydantic import JsonValue, TypeAdapter

from admin_web.event_stream import EventStreamParser, ServerSentEvent
from admin_web.exchange_models import Health, Info
from admin_web.service_http import ServiceAway, ServiceFault, ServiceHttp

_HEALTH: Final = TypeAdapter(Health)
_INFO: Final = TypeAdapter(Info)
_ANYTHING: Final[TypeAdapter[JsonValue]] = TypeAdapter(JsonValue)

# The exchange sends a comment every 15 s; two of them missing means that the connection is dead.
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=35)


class ExchangeClient:
    """Every method raises ServiceError (`service_http`): away, at fault, refused, not found."""

    def __init__(self, http: ServiceHttp, *, stream_client: aiohttp.ClientSession) -> None:
        self._http = http
        self._stream_client = stream_client

    def acting_as(self, login: str) -> "ExchangeClient":
        return ExchangeClient(self._http.acting_as(login), stream_client=self._stream_client)

    @property
    def place(self) -> str:
        return self._http.base_url.authority

    async def health(self) -> Health:
        # 503 is an answer here: "starting".
        return await self._http.call("GET", self._http.url("health"), _HEALTH, also_good=frozenset({503}))

    async def info(self) -> Info:
        return await self._http.call("GET", self._http.url("v1", "info"), _INFO)

    async def end_call(self, call_id: str) -> None:
        """Ask for the call to be ended; it disappears from the live calls when it has. Raises NotFound."""
        await self._http.call("DELETE", self._http.url("v1", "calls", call_id), _ANYTHING)

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """The event stream, until it breaks (ServiceAway) or the exchange refuses it (ServiceFault).

        The caller closes it (`contextlib.aclosing`), or the connection stays until the garbage is collected.
        """
        headers = {**self._http.headers(), "Accept": "text/event-stream"}
        parser = EventStreamParser()
        try:
            async with self._stream_client.get(
                self._http.url("v1", "events"), headers=headers, timeout=STREAM_TIMEOUT
            ) as response:
                if response.status == 401:
                    raise ServiceFault("exchange", "The exchange refuses the console's service token.")
                if response.status != 200:
                    raise ServiceAway("exchange", f"The exchange gives no events (status {response.status}).")
                async for chunk in response.content.iter_any():
                    for event in parser.receive(chunk):
                        yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServiceAway("exchange", f"The exchange can't be reached at {self.place}.") from error
        raise ServiceAway("exchange", "The exchange closed its event stream.")
