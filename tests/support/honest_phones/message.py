"""SIP messages as the honest phones read and write them; deliberately not the exchange's own parser."""

import hashlib
import itertools
import re
from dataclasses import dataclass

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came."""

    start_line: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, data: bytes) -> "Message":
        """Split a datagram; these phones don't look at bodies."""
        head = data.partition(b"\r\n\r\n")[0].decode()
        start_line, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(start_line, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs))

    @property
    def is_response(self) -> bool:
        return self.start_line.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        return int(self.start_line.split(" ")[1])

    def values(self, name: str) -> list[str]:
        """The values of a header, one a line."""
        return [value for key, value in self.headers if key == name]

    def value(self, name: str) -> str:
        """The value of a header that is there once."""
        (value,) = self.values(name)
        return value

    @property
    def method(self) -> str:
        """The method of a request, or of what a response answers."""
        return self.value("cseq").split()[1]

    @property
    def cseq(self) -> int:
        return int(self.value("cseq").split()[0])

    @property
    def branch(self) -> str:
        """The branch of the topmost Via."""
        found = re.search(r"branch=([^;,\s]+)", self.values("via")[0])
        assert found is not None, self
        return found[1]

    def tag(self, name: str) -> str:
        """The tag of `from` or `to`, or nothing."""
        found = re.search(r";tag=([^;\s]+)", self.value(name))
        return found[1] if found else ""

    def contact(self) -> str:
        """The URI of the Contact."""
        found = re.search(r"<([^>]+)>", self.value("contact"))
        assert found is not None, self
        return found[1]

    def routes(self) -> list[str]:
        """The Record-Route values in their order."""
        return [route.strip() for line in self.values("record-route") for route in line.split(",")]


def new_branch() -> str:
    """Make a branch that no other request has."""
    return f"z9hG4bKhonest{next(_numbers)}"


def new_tag() -> str:
    """Make a tag that no other dialog has."""
    return f"tag{next(_numbers)}"


def write_request(
    method: str,
    uri: str,
    *,
    address: str,
    branch: str,
    from_: str,
    to: str,
    call_id: str,
    cseq: int,
    headers: tuple[str, ...] = (),
) -> bytes:
    """Write a request without a body."""
    lines = (
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {address};rport;branch={branch}",
        "Max-Forwards: 70",
        f"From: {from_}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *headers,
        "Content-Length: 0",
    )
    return "\r\n".join((*lines, "", "")).encode()


def write_response(request: Message, status: int, reason: str, *, tag: str = "", contact: str = "") -> bytes:
    """Write a response without a body."""
    to = request.value("to")
    if tag and not request.tag("to"):
        to += f";tag={tag}"
    lines = [f"SIP/2.0 {status} {reason}"]
    lines += [f"Via: {value}" for value in request.values("via")]
    lines += [f"Record-Route: {value}" for value in request.values("record-route")]
    lines += [f"From: {request.value('from')}", f"To: {to}"]
    lines += [f"Call-ID: {request.value('call-id')}", f"CSeq: {request.value('cseq')}"]
    if contact:
        lines.append(f"Contact: <{contact}>")
    return "\r\n".join((*lines, "Content-Length: 0", "", "")).encode()


def credentials(challenge: Message, *, method: str, uri: str, number: str, password: str) -> str:
    """Answer the MD5 challenge of a 401 or 407 (RFC 7616), as a header line."""
    is_proxy = challenge.status == 407
    offers = challenge.values("proxy-authenticate" if is_proxy else "www-authenticate")
    (offer,) = [one for one in offers if "algorithm=MD5" in one]
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', offer))
    realm, nonce = parameters["realm"], parameters["nonce"]
    ha1 = _md5(f"{number}:{realm}:{password}")
    ha2 = _md5(f"{method}:{uri}")
    response = _md5(f"{ha1}:{nonce}:00000001:c:auth:{ha2}")
    name = "Proxy-Authorization" if is_proxy else "Authorization"
    return (
        f'{name}: Digest username="{number}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, cnonce="c", qop=auth, nc=00000001'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
