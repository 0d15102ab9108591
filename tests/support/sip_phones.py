"""Phones made of plain text, and an exchange with a clock that tests move: no socket, no sleep."""

import hashlib
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sip_proxy.core.dialog.call_record import CallRecord
from sip_proxy.core.directory import Account, AccountState, Directory, ExchangeSettings
from sip_proxy.core.engine import Engine, EngineConfig
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.building import build_response
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import (
    BindingsChanged,
    CallChanged,
    CallRecorded,
    CallSaved,
    LiveCallState,
    Output,
    SecurityEvent,
    Send,
)

DOMAIN = "tollbell.local"
EXCHANGE = ("192.0.2.1", 5060)
WALL_OFFSET = 1_790_000_000.0
START = 1000.0
OFFER = b"v=0\r\no=- 0 0 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

_serial = itertools.count(1)


def password_of(number: str) -> str:
    """The password that every account of the tests has."""
    return f"secret-{number}"


def account(number: str, **changes: object) -> Account:
    """An active account that may call and be called."""
    credentials = f"{number}:{DOMAIN}:{password_of(number)}".encode()
    values: dict[str, object] = {
        "number": number,
        "state": AccountState.ACTIVE,
        "display_name": f"Phone {number}",
        "ha1_md5": hashlib.md5(credentials).hexdigest(),
        "ha1_sha256": hashlib.sha256(credentials).hexdigest(),
    }
    return Account(**{**values, **changes})  # type: ignore[arg-type]


def make_directory(*accounts: Account, settings: ExchangeSettings | None = None) -> Directory:
    """A directory of these accounts; without any, of 0001 to 0004 and the emergency number 9911."""
    accounts = accounts or tuple(account(number) for number in ("0001", "0002", "0003", "0004", "9911"))
    return Directory(
        version=1,
        settings=settings or ExchangeSettings(),
        accounts={each.number: each for each in accounts},
    )


def seeded_random(seed: int = 1) -> Callable[[int], bytes]:
    """Random bytes that are the same in every run."""
    counter = itertools.count()

    def random_bytes(count: int) -> bytes:
        block = b""
        while len(block) < count:
            block += hashlib.sha256(f"{seed}/{next(counter)}".encode()).digest()
        return block[:count]

    return random_bytes


@dataclass
class Exchange:
    """An engine with its clock; what it sends is delivered to the phones that are attached."""

    directory: Directory = field(default_factory=make_directory)
    now: float = START
    config_changes: dict[str, object] = field(default_factory=dict)
    engine: Engine = field(init=False)
    phones: dict[tuple[Transport, str, int], "Phone"] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    undelivered: list[Send] = field(default_factory=list)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.engine = self.make_engine()

    def make_engine(self, seed: int = 1) -> Engine:
        """Make an engine, as a process does at its start."""
        values: dict[str, object] = {
            "domain": DOMAIN,
            "local_addresses": frozenset({EXCHANGE}),
            "listening": {Transport.UDP: EXCHANGE, Transport.TCP: EXCHANGE},
            "nonce_secret": b"0123456789abcdef",
        }
        config = EngineConfig(**{**values, **self.config_changes})  # type: ignore[arg-type]
        engine = Engine(config=config, directory=self.directory, random_bytes=seeded_random(seed))
        engine.wall_offset = WALL_OFFSET
        return engine

    def restart(self) -> None:
        """Lose everything but what was to be kept, as `kill -9` does, and start again from that."""
        saved: dict[str, str] = {}
        bindings: dict[str, str] = {}
        for output in self.outputs:
            if isinstance(output, CallSaved):
                saved[output.record_id] = output.state
            elif isinstance(output, CallRecorded):
                saved.pop(output.record.record_id, None)
            elif isinstance(output, BindingsChanged):
                bindings[output.number] = output.state
        self.restarts += 1
        self.engine = self.make_engine(seed=1 + self.restarts)
        for number, state in bindings.items():
            self.engine.restore_bindings(number, state, self.now)
        for state in saved.values():
            self.engine.restore_call(state, self.now, same_boot=True)

    def phone(
        self,
        number: str,
        *,
        transport: Transport = Transport.UDP,
        register: bool = True,
        private: str = "",
        **changes: object,
    ) -> "Phone":
        """Attach a phone and register it; with a private address, it is behind NAT."""
        phone = Phone(self, number, transport=transport)
        if private:
            phone.sent_by = private
            phone.contact = f"sip:{number}@{private}"
        self.phones[phone.key] = phone
        if register:
            response = phone.register(**changes)  # type: ignore[arg-type]
            assert response.status == 200
        return phone

    def phones_of(self, number: str) -> list["Phone"]:
        """The phones attached for a number."""
        return [phone for phone in self.phones.values() if phone.number == number]

    def receive(self, data: bytes, flow: Flow) -> None:
        """Let the engine have a message, and deliver what it sends."""
        self.engine.receive(data, flow, self.now)
        self.deliver()

    def deliver(self) -> None:
        """Hand what the engine sends to the phones."""
        for output in self.engine.take_outputs():
            self.outputs.append(output)
            if not isinstance(output, Send):
                continue
            to = output.to
            host, port = to.remote if isinstance(to, Flow) else (to.host, to.port)
            phone = self.phones.get((to.transport, host, port))
            if phone is None:
                self.undelivered.append(output)
            else:
                phone.take(output.data)

    def advance(self, seconds: float) -> None:
        """Let time pass, with every timer fired when it is due."""
        end = self.now + seconds
        while (deadline := self.engine.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.engine.expire(self.now)
            self.deliver()
        self.now = end

    @property
    def records(self) -> list[CallRecord]:
        """The call records handed out so far."""
        return [output.record for output in self.outputs if isinstance(output, CallRecorded)]

    @property
    def the_record(self) -> CallRecord:
        """The only call record."""
        (record,) = self.records
        return record

    @property
    def call_states(self) -> list[LiveCallState]:
        """The states of calls as they were reported."""
        return [output.call.state for output in self.outputs if isinstance(output, CallChanged)]

    @property
    def security_events(self) -> list[SecurityEvent]:
        """The security events handed out so far."""
        return [output for output in self.outputs if isinstance(output, SecurityEvent)]

    def unable_to_send(self, phone: "Phone") -> None:
        """The last message to a phone could not be sent."""
        last = self.sends_to(phone)[-1]
        self.engine.unable_to_send(last.data, last.to, self.now)
        self.deliver()

    def sends_to(self, phone: "Phone") -> list[Send]:
        """What was sent to a phone."""
        return [
            output
            for output in self.outputs
            if isinstance(output, Send)
            and (output.to.remote if isinstance(output.to, Flow) else (output.to.host, output.to.port))
            == phone.address
        ]


class Phone:
    """A phone that does nothing by itself: tests say what it sends, and look into its inbox."""

    def __init__(self, exchange: Exchange, number: str, *, transport: Transport = Transport.UDP) -> None:
        serial = next(_serial)
        self.exchange = exchange
        self.number = number
        self.transport = transport
        self.address = (f"198.51.{serial // 250 % 250}.{serial % 250 + 1}", 5060)
        connection = serial if transport.is_reliable else 0
        self.flow = Flow(transport, self.address, EXCHANGE, connection)
        self.contact = f"sip:{number}@{self.address[0]}:5060"
        if transport is not Transport.UDP:
            self.contact += f";transport={transport.value.lower()}"
        self.inbox: list[Request | Response] = []
        self.sent: list[bytes] = []
        self.cseq = 0
        self.sent_by = f"{self.address[0]}:5060"  # what it takes for its own address

    @property
    def key(self) -> tuple[Transport, str, int]:
        """Where the exchange sends to reach this phone."""
        return (self.transport, *self.address)

    def take(self, data: bytes) -> None:
        """A message has come from the exchange."""
        message = parse_message(data)
        message.check()
        assert isinstance(message, Request | Response)
        self.inbox.append(message)

    def requests(self, method: str) -> list[Request]:
        """The requests received so far with this method."""
        return [each for each in self.inbox if isinstance(each, Request) and each.method == method]

    def request(self, method: str) -> Request:
        """The last request received with this method."""
        return self.requests(method)[-1]

    def responses(self, method: str = "") -> list[Response]:
        """The responses received so far to requests of this method."""
        return [
            each for each in self.inbox if isinstance(each, Response) and method in {"", each.cseq_method}
        ]

    def statuses(self, method: str = "") -> list[int]:
        """Their status codes."""
        return [each.status for each in self.responses(method)]

    def send(self, data: bytes) -> None:
        """Send bytes to the exchange."""
        self.sent.append(data)
        self.exchange.receive(data, self.flow)

    def new_branch(self) -> str:
        """A branch of RFC 3261."""
        return f"z9hG4bKphone{next(_serial)}"

    def via(self, branch: str) -> str:
        """The Via line of this phone."""
        return f"Via: SIP/2.0/{self.transport.value} {self.sent_by};branch={branch};rport"

    def build(
        self,
        method: str,
        uri: str,
        *,
        to: str,
        call_id: str,
        from_tag: str,
        cseq: int,
        branch: str = "",
        from_uri: str = "",
        headers: tuple[str, ...] = (),
        body: bytes = b"",
    ) -> bytes:
        """Write a request."""
        from_uri = from_uri or f"sip:{self.number}@{DOMAIN}"
        lines = [
            f"{method} {uri} SIP/2.0",
            self.via(branch or self.new_branch()),
            "Max-Forwards: 70",
            f'From: "Phone" <{from_uri}>;tag={from_tag}',
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <{self.contact}>",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def credentials(
        self,
        challenged: Response,
        method: str,
        uri: str,
        *,
        password: str = "",
        username: str = "",
        nonce_count: int = 1,
    ) -> str:
        """Answer the MD5 challenge of a 401 or 407, as a header line."""
        key = "www-authenticate" if challenged.status == 401 else "proxy-authenticate"
        value = next(value for value in challenged.line_values(key) if "MD5" in value)
        nonce = re.findall('nonce="([^"]*)"', value)[0]
        return self.credentials_for(
            nonce, method, uri, password=password, username=username, nonce_count=nonce_count
        )

    def credentials_for(
        self, nonce: str, method: str, uri: str, *, password: str, username: str, nonce_count: int
    ) -> str:
        """Make credentials for a nonce."""
        username = username or self.number

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        ha1 = md5(f"{username}:{DOMAIN}:{password or password_of(username)}")
        ha2 = md5(f"{method}:{uri}")
        response = md5(f"{ha1}:{nonce}:{nonce_count:08x}:cafe:auth:{ha2}")
        name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        return (
            f'{name}: Digest username="{username}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, cnonce="cafe", qop=auth, nc={nonce_count:08x}'
        )

    def register(
        self,
        *,
        contacts: tuple[str, ...] | None = None,
        headers: tuple[str, ...] = (),
        call_id: str = "",
        cseq: int = 0,
        password: str = "",
        to: str = "",
        uri: str = f"sip:{DOMAIN}",
    ) -> Response:
        """Register with authentication; return the last response."""
        call_id = call_id or f"register-{self.number}-{self.address[0]}"
        if contacts is None:
            contacts = (f"<{self.contact}>",)

        def send(number: int, extra: tuple[str, ...]) -> Response:
            lines = [
                f"REGISTER {uri} SIP/2.0",
                self.via(self.new_branch()),
                f"From: <sip:{self.number}@{DOMAIN}>;tag=r{number}",
                f"To: {to or f'<sip:{self.number}@{DOMAIN}>'}",
                f"Call-ID: {call_id}",
                f"CSeq: {number} REGISTER",
                *(f"Contact: {contact}" for contact in contacts),
                *headers,
                *extra,
                "Content-Length: 0",
            ]
            self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
            return self.responses("REGISTER")[-1]

        self.cseq = cseq or self.cseq + 1
        challenged = send(self.cseq, ())
        if challenged.status != 401:
            return challenged
        self.cseq += 1
        return send(self.cseq, (self.credentials(challenged, "REGISTER", uri, password=password),))

    def invite(
        self,
        callee: str,
        *,
        uri: str = "",
        call_id: str = "",
        from_uri: str = "",
        headers: tuple[str, ...] = (),
        method: str = "INVITE",
        password: str = "",
        body: bytes = OFFER,
    ) -> "Attempt":
        """Call somebody: INVITE, challenge, ACK, INVITE with credentials. Other methods go the same way."""
        attempt = Attempt(
            self,
            method=method,
            uri=uri or f"sip:{callee}@{DOMAIN}",
            call_id=call_id or f"call-{next(_serial)}@phone",
            from_tag=f"f{next(_serial)}",
            from_uri=from_uri,
        )
        attempt.send(headers=headers, body=body)
        challenged = attempt.last_response
        if challenged is not None and challenged.status == 407:
            if method == "INVITE":
                self.send(attempt.ack_of(challenged))
            line = self.credentials(challenged, method, attempt.uri, password=password)
            attempt.send(headers=(*headers, line), body=body)
        return attempt

    def answer(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "callee",
        headers: tuple[str, ...] = (),
        contact: str = "",
        reason: str = "",
    ) -> bytes:
        """Answer a request as its server; return the bytes, for sending them again."""
        recorded = [
            line for key, line in zip(request.keys, request.lines, strict=True) if key == "record-route"
        ]
        lines = [*recorded, *headers]
        if status != 100:
            lines.append(f"Contact: <{contact or self.contact}>")
        data = build_response(
            request, status, reason=reason, to_tag="" if status == 100 else tag, headers=lines
        )
        self.send(data)
        return data


class Attempt:
    """The caller's side of a call: its INVITE, and what follows in its dialog."""

    def __init__(
        self, phone: Phone, *, method: str, uri: str, call_id: str, from_tag: str, from_uri: str
    ) -> None:
        self.phone = phone
        self.method = method
        self.uri = uri
        self.call_id = call_id
        self.from_tag = from_tag
        self.from_uri = from_uri
        self.cseq = 0
        self.branch = ""
        self.data = b""
        self.to = f"<{uri}>"

    def send(self, *, headers: tuple[str, ...] = (), body: bytes = OFFER) -> None:
        """Send the request with a new CSeq number and branch."""
        self.cseq += 1
        self.branch = self.phone.new_branch()
        self.data = self.phone.build(
            self.method,
            self.uri,
            to=self.to,
            call_id=self.call_id,
            from_tag=self.from_tag,
            from_uri=self.from_uri,
            cseq=self.cseq,
            branch=self.branch,
            headers=headers,
            body=body,
        )
        self.phone.send(self.data)

    def send_again(self) -> None:
        """Retransmit the request."""
        self.phone.send(self.data)

    @property
    def responses(self) -> list[Response]:
        """The responses to the last request sent."""
        return [
            response
            for response in self.phone.responses(self.method)
            if response.call_id == self.call_id and response.cseq == self.cseq
        ]

    @property
    def statuses(self) -> list[int]:
        """Their status codes."""
        return [response.status for response in self.responses]

    @property
    def is_on_its_way(self) -> bool:
        """Whether it was passed on to a phone, and nothing has come back yet."""
        phones = self.phone.exchange.phones.values()
        passed_on = [each for phone in phones for each in phone.requests(self.method)]
        return not self.statuses and any(each.call_id == self.call_id for each in passed_on)

    @property
    def last_response(self) -> Response | None:
        """The last of them."""
        return self.responses[-1] if self.responses else None

    def ack_of(self, response: Response) -> bytes:
        """The ACK of a final response other than 2xx: on the branch of its INVITE (RFC 3261 §17.1.1.3)."""
        return self.phone.build(
            "ACK",
            self.uri,
            to=response.first("to") or "",
            call_id=self.call_id,
            from_tag=self.from_tag,
            from_uri=self.from_uri,
            cseq=self.cseq,
            branch=self.branch,
        )

    def cancel(self) -> None:
        """Give up."""
        self.phone.send(
            self.phone.build(
                "CANCEL",
                self.uri,
                to=self.to,
                call_id=self.call_id,
                from_tag=self.from_tag,
                from_uri=self.from_uri,
                cseq=self.cseq,
                branch=self.branch,
            )
        )

    def in_dialog(
        self, method: str, *, cseq: int = 0, headers: tuple[str, ...] = (), use_routes: bool = True
    ) -> bytes:
        """Write a request in the dialog of the last response with a To tag, with its route set."""
        response = next(
            each
            for each in reversed(self.phone.responses(self.method))
            if each.call_id == self.call_id and each.to_tag and 100 < each.status < 300
        )
        routes = [f"Route: {value}" for value in reversed(response.values("record-route"))]
        if method != "ACK" and not cseq:
            self.cseq += 1
        contact = response.values("contact")[0].partition(">")[0].lstrip("<")
        return self.phone.build(
            method,
            contact if use_routes else self.uri,
            to=response.first("to") or "",
            call_id=self.call_id,
            from_tag=self.from_tag,
            from_uri=self.from_uri,
            cseq=cseq or self.cseq,
            headers=(*(routes if use_routes else ()), *headers),
        )

    def ack(self, *, use_routes: bool = True) -> None:
        """Acknowledge the 2xx."""
        self.phone.send(self.in_dialog("ACK", use_routes=use_routes))

    def bye(self, *, use_routes: bool = True) -> bytes:
        """Hang up; return the bytes."""
        invite_cseq, method = self.cseq, self.method
        data = self.in_dialog("BYE", use_routes=use_routes)
        self.phone.send(data)
        self.cseq, self.method = invite_cseq, method
        return data


def callee_request(
    phone: Phone, invite: Request, method: str, *, cseq: int = 1, tag: str = "callee", branch: str = ""
) -> bytes:
    """Write a request of the called side in the dialog of this INVITE (§12.1.1: routes as recorded)."""
    caller_contact = invite.values("contact")[0].partition(">")[0].lstrip("<")
    lines = [
        f"{method} {caller_contact} SIP/2.0",
        phone.via(branch or phone.new_branch()),
        "Max-Forwards: 70",
        *(f"Route: {value}" for value in invite.values("record-route")),
        f"From: {invite.first('to')};tag={tag}",
        f"To: {invite.first('from')}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {cseq} {method}",
        f"Contact: <{phone.contact}>",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def destination(to: Flow | Destination) -> tuple[str, int]:
    """The address that something is sent to."""
    return to.remote if isinstance(to, Flow) else (to.host, to.port)
