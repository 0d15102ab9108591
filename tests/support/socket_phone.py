"""A phone made of a socket: it says exactly what a test wants, in real bytes over real UDP, TCP or TLS."""

import hashlib
import itertools
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sip_proxy.core.message.framing import StreamFramer

TIMEOUT_S = 5.0
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Received:
    """A message that came."""

    text: str

    @property
    def start_line(self) -> str:
        return self.text.partition("\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.start_line.split()[1])

    def headers(self, name: str) -> list[str]:
        """The values of a header, one for each line."""
        return re.findall(
            rf"^{re.escape(name)}[ \t]*:[ \t]*(.*?)\r?$", self.text, re.IGNORECASE | re.MULTILINE
        )

    def header(self, name: str) -> str:
        """The value of a header that must be there once."""
        (value,) = self.headers(name)
        return value


class SocketPhone:
    """A phone with a number and a password, that speaks over one socket."""

    def __init__(
        self,
        number: str,
        password: str,
        server: tuple[str, int],
        transport: str = "udp",
        *,
        tls: ssl.SSLContext | None = None,
        algorithm: str = "MD5",
        source: str | None = None,
    ) -> None:
        """`source` is the IP address to speak from, one of this machine's."""
        self.number = number
        self.password = password
        self.algorithm = algorithm
        self.transport = transport
        self._server = server
        self._framer = StreamFramer()
        if transport == "udp":
            self.socket = socket.socket(
                socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM
            )
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(server)
        else:
            connected = socket.create_connection(server, TIMEOUT_S, (source, 0) if source else None)
            self.socket = tls.wrap_socket(connected) if tls else connected
        self.socket.settimeout(TIMEOUT_S)
        host, port = self.socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.domain = "tollbell.local"
        self.tag = f"t{next(_numbers)}"

    def close(self) -> None:
        self.socket.close()

    def send(self, data: str | bytes) -> None:
        """Send exactly these bytes."""
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def receive(self, timeout_s: float = TIMEOUT_S) -> Received:
        """Return the next message. Raises TimeoutError, and EOFError when the connection is closed."""
        self.socket.settimeout(timeout_s)
        if self.transport == "udp":
            return Received(self.socket.recv(65_535).decode())
        while (message := self._framer.next_message()) is None:
            data = self.socket.recv(65_535)
            if not data:
                raise EOFError("the exchange closed the connection")
            self._framer.feed(data)
        return Received(message.decode())

    def receive_final(self) -> Received:
        """Return the next final response; provisional ones are passed over."""
        while (response := self.receive()).status < 200:
            pass
        return response

    def expect_request(self, method: str) -> Received:
        """Return the next message, which must be this request."""
        request = self.receive()
        assert request.start_line.startswith(f"{method} "), request.text
        return request

    def request(
        self,
        method: str,
        uri: str,
        *,
        call_id: str,
        cseq: int = 1,
        to: str | None = None,
        headers: tuple[str, ...] = (),
        body: str = "",
        branch: str | None = None,
    ) -> str:
        """Write a request."""
        return "\r\n".join(
            (
                f"{method} {uri} SIP/2.0",
                f"Via: SIP/2.0/{self.transport.upper()} {self.address};rport"
                f";branch={branch or f'z9hG4bK{next(_numbers)}'}",
                "Max-Forwards: 70",
                f"From: <sip:{self.number}@{self.domain}>;tag={self.tag}",
                f"To: {to or f'<{uri}>'}",
                f"Call-ID: {call_id}",
                f"CSeq: {cseq} {method}",
                f"Contact: <sip:{self.number}@{self.address};transport={self.transport}>",
                *headers,
                f"Content-Length: {len(body.encode())}",
                "",
                body,
            )
        )

    def credentials(self, challenge: Received, method: str, uri: str) -> str:
        """Answer the challenge that is for this phone's algorithm, as a header line."""
        name = "WWW-Authenticate" if challenge.status == 401 else "Proxy-Authenticate"
        offers = challenge.headers(name)
        (offer,) = [one for one in offers if f"algorithm={self.algorithm}," in one]
        realm = _parameter(offer, "realm")
        nonce = _parameter(offer, "nonce")
        hashed = _HASHES[self.algorithm]
        ha1 = hashed(f"{self.number}:{realm}:{self.password}".encode()).hexdigest()
        ha2 = hashed(f"{method}:{uri}".encode()).hexdigest()
        response = hashed(f"{ha1}:{nonce}:00000001:c:auth:{ha2}".encode()).hexdigest()
        return (
            f"{'Authorization' if challenge.status == 401 else 'Proxy-Authorization'}: "
            f'Digest username="{self.number}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm={self.algorithm}, cnonce="c", qop=auth, nc=00000001'
        )

    def authenticated(self, method: str, uri: str, *, call_id: str, body: str = "") -> Received:
        """Send a request, answer the challenge, and return the first response to the second attempt."""
        self.send_authenticated(method, uri, call_id=call_id, body=body)
        return self.receive()

    def send_authenticated(
        self, method: str, uri: str, *, call_id: str, headers: tuple[str, ...] = (), body: str = ""
    ) -> None:
        """Send a request, answer the challenge, and leave what comes of that to be received."""
        self.send(self.request(method, uri, call_id=call_id, cseq=1, headers=headers, body=body))
        challenge = self.receive_final()
        assert challenge.status in (401, 407), challenge.text
        if method == "INVITE":
            self.acknowledge(challenge, uri, cseq=1)
        credentials = self.credentials(challenge, method, uri)
        headers = (credentials, *headers)
        self.send(self.request(method, uri, call_id=call_id, cseq=2, headers=headers, body=body))

    def register(self, *, expires: int = 300) -> Received:
        """Register, and return the answer."""
        uri = f"sip:{self.domain}"
        call_id = f"register-{next(_numbers)}"
        headers = (f"Expires: {expires}",)
        to = f"<sip:{self.number}@{self.domain}>"
        self.send(self.request("REGISTER", uri, call_id=call_id, cseq=1, to=to, headers=headers))
        challenge = self.receive_final()
        assert challenge.status == 401, challenge.text
        credentials = self.credentials(challenge, "REGISTER", uri)
        self.send(
            self.request("REGISTER", uri, call_id=call_id, cseq=2, to=to, headers=(*headers, credentials))
        )
        return self.receive_final()

    def acknowledge(self, response: Received, uri: str, *, cseq: int) -> None:
        """Send the ACK for a final response other than 2xx: on the INVITE's branch (RFC 3261 §17.1.1.3)."""
        branch = re.search(r"branch=([^;\r\n]+)", response.headers("Via")[0])
        assert branch is not None
        self.send(
            self.request(
                "ACK",
                uri,
                call_id=response.header("Call-ID"),
                cseq=cseq,
                to=response.header("To"),
                branch=branch[1],
            )
        )

    def respond(self, request: Received, status: int, reason: str, *, contact: bool = False) -> None:
        """Answer a request."""
        to = request.header("To")
        if "tag=" not in to and status > 100:
            to += f";tag={self.tag}"
        lines = [f"SIP/2.0 {status} {reason}"]
        lines += [f"Via: {value}" for value in request.headers("Via")]
        lines += [f"Record-Route: {value}" for value in request.headers("Record-Route")]
        lines += [f"From: {request.header('From')}", f"To: {to}"]
        lines += [f"Call-ID: {request.header('Call-ID')}", f"CSeq: {request.header('CSeq')}"]
        if contact:
            lines.append(f"Contact: <sip:{self.number}@{self.address};transport={self.transport}>")
        self.send("\r\n".join([*lines, "Content-Length: 0", "", ""]))

    def in_dialog(self, method: str, answer: Received, *, cseq: int) -> str:
        """Write a request inside the dialog that a 2xx answer made, on the caller's side."""
        contact = re.search(r"<([^>]+)>", answer.header("Contact"))
        assert contact is not None
        routes = ", ".join(answer.headers("Record-Route")).split(", ")
        return self.request(
            method,
            contact[1],
            call_id=answer.header("Call-ID"),
            cseq=cseq,
            to=answer.header("To"),
            headers=tuple(f"Route: {route}" for route in reversed(routes) if route),
        )


def _parameter(challenge: str, name: str) -> str:
    match = re.search(rf'{name}="([^"]*)"', challenge)
    assert match is not None, challenge
    return match[1]


@contextmanager
def phone(
    number: str, password: str, server: tuple[str, int], transport: str = "udp", **options: object
) -> Iterator[SocketPhone]:
    """A phone for the length of a test."""
    made = SocketPhone(number, password, server, transport, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def call(caller: SocketPhone, callee: SocketPhone, *, call_id: str | None = None) -> Received:
    """Set up a call, from INVITE to ACK; return the 200 that the caller got."""
    call_id = call_id or f"call-{next(_numbers)}"
    uri = f"sip:{callee.number}@{caller.domain}"
    caller.send_authenticated("INVITE", uri, call_id=call_id)
    invite = callee.expect_request("INVITE")
    callee.respond(invite, 180, "Ringing")
    ringing = caller.receive()
    if ringing.status == 100:  # on a busy machine 200 ms pass before the phone rings
        ringing = caller.receive()
    assert ringing.status == 180, ringing.text
    callee.respond(invite, 200, "OK", contact=True)
    answer = caller.receive_final()
    assert answer.status == 200, answer.text
    caller.send(caller.in_dialog("ACK", answer, cseq=2))
    callee.expect_request("ACK")
    return answer


def hang_up(caller: SocketPhone, callee: SocketPhone, answer: Received) -> Received:
    """End a call from the caller's side; return the answer to its BYE."""
    caller.send(caller.in_dialog("BYE", answer, cseq=3))
    callee.respond(callee.expect_request("BYE"), 200, "OK")
    return caller.receive_final()
