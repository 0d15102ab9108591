"""What both service clients share: addresses, tokens, time-outs, and errors in plain words."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from yarl import URL

Answer = TypeVar("Answer")

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)
MAX_DETAIL = 500


class ServiceError(Exception):
    """A service did not do what it was asked; the text is fit for the administrator's page."""

    def __init__(self, service: str, text: str) -> None:
        super().__init__(text)
        self.service = service


class ServiceAway(ServiceError):
    """It can't be reached, does not answer in time, or says that it can't work now; later it may."""


class ServiceFault(ServiceError):
    """It failed (5xx), refused our token, or gave an answer that breaks the contract."""


class RequestRefused(ServiceError):
    """It refused the request (4xx) and said why."""

    def __init__(self, service: str, text: str, *, status: int, retry_after: str | None = None) -> None:
        super().__init__(service, text)
        self.status = status
        self.retry_after = retry_after


class NotFound(RequestRefused):
    """There is no such thing."""


class FieldProblem(BaseModel):
    model_config = ConfigDict(frozen=True)

    field: str = ""
    message: str = ""


class Problem(BaseModel):
    """`application/problem+json` (RFC 9457); every member is optional there."""

    model_config = ConfigDict(frozen=True)

    title: str = ""
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()

    def text(self) -> str:
        parts = [self.detail or self.title]
        parts += [
            f"{error.field}: {error.message}" if error.field else error.message for error in self.errors
        ]
        return "; ".join(part for part in parts if part)[:MAX_DETAIL]


class ServiceHttp:
    """Requests to one service, as the console itself or on behalf of an administrator."""

    def __init__(
        self,
        *,
        service: str,
        base_url: URL,
        token: str,
        client: aiohttp.ClientSession,
        actor: str | None = None,
    ) -> None:
        self.service = service
        self.base_url = base_url
        self._token = token
        self._client = client
        self._actor = actor

    def acting_as(self, login: str) -> "ServiceHttp":
        return ServiceHttp(
            service=self.service, base_url=self.base_url, token=self._token, client=self._client, actor=login
        )

    def headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._token}"}
        if self._actor is not None:
            # Header values are Latin-1 at best; a login may be anything.
            headers["Tollbell-Actor"] = quote(self._actor, safe=" @+.-_")
        return headers

    def url(self, *segments: str) -> URL:
        """The address of a resource; a slash or dots inside a segment stay inside it."""
        path = "/".join(quote(segment, safe="") for segment in segments)
        if any(segment in {".", "..", ""} for segment in segments):
            raise NotFound(self.service, "There is no such page.", status=404)
        return self.base_url.join(URL(f"/{path}", encoded=True))

    async def call(
        self,
        method: str,
        url: URL,
        answer: TypeAdapter[Answer],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        also_good: frozenset[int] = frozenset(),
        more_headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request and read its JSON answer. `also_good`: error statuses whose body is an answer too.

        Raises ServiceAway, ServiceFault, RequestRefused or NotFound.
        """
        try:
            async with self._client.request(
                method,
                url,
                params=query,
                json=body,
                headers={**self.headers(), **(more_headers or {})},
                timeout=REQUEST_TIMEOUT,
            ) as response:
                raw = await response.read()
        except TimeoutError as error:
            raise ServiceAway(self.service, f"{self.title} does not answer at {self._place}.") from error
        except aiohttp.ClientError as error:
            raise ServiceAway(self.service, f"{self.title} can't be reached at {self._place}.") from error
        if response.status >= 400 and response.status not in also_good:
            raise self._error(response, raw)
        try:
            return answer.validate_json(raw or b"null")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ServiceFault(
                self.service,
                f"{self.title} gave an unexpected answer to {url.path} ({where}: {first['msg']}).",
            ) from error

    @property
    def title(self) -> str:
        return {"billing": "The billing service", "exchange": "The exchange"}.get(self.service, self.service)

    @property
    def _place(self) -> str:
        return self.base_url.authority

    def _error(self, response: aiohttp.ClientResponse, raw: bytes) -> ServiceError:
        try:
            said = Problem.model_validate_json(raw).text()
        except ValidationError:
            said = ""
        match response.status:
            # A wrong password is a 401 too; only a refused token comes with a challenge (RFC 6750 §3).
            case 401 if not response.url.path.endswith("/login") or "WWW-Authenticate" in response.headers:
                return ServiceFault(
                    self.service,
                    f"{self.title} refuses the console's service token; both must use the same one.",
                )
            case 404:
                return NotFound(self.service, said or "There is no such thing.", status=404)
            case 503:
                return ServiceAway(self.service, f"{self.title} can't work now: {said or 'it says 503'}.")
            case status if status >= 500:
                return ServiceFault(
                    self.service, f"{self.title} failed ({status}): {said or 'no reason given'}."
                )
            case status:
                return RequestRefused(
                    self.service,
                    said or f"{self.title} refused the request ({status}).",
                    status=status,
                    retry_after=response.headers.get("Retry-After"),
                )
