"""A registrar of a hundred lines, over UDP: enough to see how a phone behaves towards one that is strange or
gone.

Calls go through the real exchange in the end-to-end tests; here every other request gets the refusal that the
test asks for.
"""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

REALM = "tollbell.local"
_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A SIP request, as far as the registrar looks into it."""

    method: str
    uri: str
    headers: dict[str, str]
    credentials: dict[str, str] = field(repr=False)

    @property
    def expires_s(self) -> int:
        in_contact = re.search(r";expires=(\d+)", self.headers.get("contact", ""))
        return int(in_contact[1] if in_contact else self.headers.get("expires", "0"))


class BareRegistrar:
    """Accepts any number with the right password. Serves from its own thread between `with` and its end."""

    def __init__(
        self,
        *,
        password: str,
        algorithms: Sequence[str] = ("MD5",),
        port: int = 0,
        refuse_calls_with: Sequence[str] = ("SIP/2.0 404 Not Found",),
    ) -> None:
        self.requests: list[Request] = []
        self._password = password
        self._algorithms = tuple(algorithms)
        self._refusal = tuple(refuse_calls_with)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._stopping = False

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accepted(self, method: str = "REGISTER") -> list[Request]:
        """The authenticated requests so far."""
        return [request for request in self.requests if request.method == method and request.credentials]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            datagram, source = self._socket.recvfrom(65536)
            if self._stopping:
                return
            if not datagram.strip():
                continue  # a keep-alive
            request = _parse(datagram.decode())
            if (answer := self._answer(request)) is not None:
                self._socket.sendto(answer, source)

    def _answer(self, request: Request) -> bytes | None:
        if request.method == "ACK":
            return None
        self.requests.append(request)
        if request.method != "REGISTER":
            return _response(request, *self._refusal)
        if not self._is_right(request):
            challenges = [
                f'WWW-Authenticate: Digest realm="{REALM}", nonce="n0nce", algorithm={algorithm}, qop="auth"'
                for algorithm in self._algorithms
            ]
            return _response(request, "SIP/2.0 401 Unauthorized", *challenges)
        contact = re.sub(r";expires=\d+", "", request.headers["contact"])
        contacts = [f"Contact: {contact};expires={request.expires_s}"] if request.expires_s else []
        return _response(request, "SIP/2.0 200 OK", *contacts)

    def _is_right(self, request: Request) -> bool:
        given = request.credentials
        if given.get("algorithm", "MD5") not in self._algorithms or given.get("qop") != "auth":
            return False
        digest = _HASHES[given.get("algorithm", "MD5")]
        ha1 = digest(f"{given['username']}:{REALM}:{self._password}".encode())
        ha2 = digest(f"REGISTER:{given['uri']}".encode())
        wanted = digest(f"{ha1}:n0nce:{given['nc']}:{given['cnonce']}:auth:{ha2}".encode())
        return given["response"] == wanted


def _parse(text: str) -> Request:
    first, *lines = text.split("\r\n\r\n")[0].split("\r\n")
    method, uri, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    pairs = re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', headers.get("authorization", ""))
    return Request(
        method=method,
        uri=uri,
        headers=headers,
        credentials={name: quoted or bare for name, quoted, bare in pairs},
    )


def _response(request: Request, status_line: str, *more: str) -> bytes:
    copied = [f"{name}: {request.headers[name.lower()]}" for name in ("Via", "From", "Call-ID", "CSeq")]
    to = request.headers["to"]
    lines = [
        status_line,
        *copied,
        f"To: {to}" if ";tag=" in to else f"To: {to};tag=t",
        *more,
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
