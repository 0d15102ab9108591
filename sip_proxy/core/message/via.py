"""The Via header (RFC 3261 §20.42, §18.2.1) and its `rport` (RFC 3581)."""

import re
from typing import Final

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import parse_parameters
from sip_proxy.core.remembering import remember

MAGIC_COOKIE: Final = "z9hG4bK"
LAST_PORT: Final = 65_535
_VIA: Final = re.compile(
    r"\s*SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)"
    r"(?:\s*:\s*([0-9]{1,5}))?"
    r"((?:\s*;.*)?)\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
# What nearly every peer writes: one space, no other, no quotes.
_PLAIN_VIA: Final = re.compile(
    r"SIP/2\.0/([A-Z]+) ([0-9.]+|[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"
    r"((?:;[^\s;=,\"<>]+(?:=[^\s;,\"]*)?)*)\Z"
)
# The few forms of a whole line that most phones write: this, a unique branch, and `rport` before or after it
# or not.
_USUAL_BEGINNING: Final = re.compile(r"(?:Via|v): SIP/2\.0/([A-Z]+) ([0-9a-z.\-]+):([0-9]{1,5})(;rport)?\Z")
_USUAL_BRANCH: Final = re.compile(MAGIC_COOKIE + r"[!#-+\--:?-~]++\Z")
_LONGEST_USUAL: Final = 256
_ASKED_FOR_PORT: Final = {"rport": ""}
_NO_PARAMETERS: Final[dict[str, str]] = {}
_RPORT: Final = re.compile(r";\s*rport\s*(?:=\s*[0-9]*)?(?=\s*(?:;|\Z))", re.IGNORECASE)


class Via:
    """The topmost Via value, in parts. `branch` is "" when there is none; `port` is None when not given.

    `sent_by` is host and port as one key, as transactions are matched by it (RFC 3261 §17.2.3).
    `parameters` are the others: without `branch`.
    """

    __slots__ = ("branch", "host", "parameters", "port", "sent_by", "transport")

    def __init__(
        self,
        transport: str,
        host: str,
        port: int | None,
        sent_by: str,
        branch: str,
        parameters: dict[str, str],
    ) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.sent_by = sent_by
        self.branch = branch
        self.parameters = parameters

    @property
    def has_magic_cookie(self) -> bool:
        """Whether the branch is one of RFC 3261: unique, and so enough to match a transaction by."""
        branch = self.branch
        return len(branch) > 7 and (branch.startswith(MAGIC_COOKIE) or branch[:7].lower() == "z9hg4bk")


_Form = tuple[str, str, int, str, dict[str, str], str, str]
"""Transport, host, port, sent-by and parameters; what is before and after the branch in the new line."""

_usual_forms: Final[dict[tuple[str, str, str, int], _Form]] = {}


def read_usual_via(line: str, address: str, port: int) -> tuple[Via, str] | None:
    """Read a Via line, and write into it where it came from, all at once; None when it has no usual form.

    The same as `parse_via` and `with_source` do in general. All but the branch is the same in every request
    of a phone.
    """
    begin, _, rest = line.partition(";branch=")
    branch, semicolon, end = rest.partition(";")
    if len(line) > _LONGEST_USUAL or not _is_usual_branch(branch):
        return None
    usual = _usual_form(begin, semicolon + end, address, port)
    if usual is None:
        return None
    transport, host, sent_port, sent_by, parameters, before, after = usual
    return Via(transport, host, sent_port, sent_by, branch, parameters), f"{before}{branch}{after}"


def _is_usual_branch(branch: str) -> bool:
    if len(branch) > len(MAGIC_COOKIE) and branch.startswith(MAGIC_COOKIE):
        return branch.replace("-", "").isalnum() or _USUAL_BRANCH.match(branch) is not None
    return False


def _usual_form(begin: str, end: str, address: str, port: int) -> _Form | None:
    """Read what is around the branch, and write what is to be there instead."""
    key = (begin, end, address, port)
    known = _usual_forms.get(key)
    if known is not None:
        return known
    match = _USUAL_BEGINNING.match(begin)
    if match is None:
        return None
    transport, host, sent_port, asks_before = match.groups()
    if asks_before and not end:
        parameters, before, after = _ASKED_FOR_PORT, f"{begin}={port};branch=", ""
    elif end == ";rport" and not asks_before:
        parameters, before, after = _ASKED_FOR_PORT, f"{begin};branch=", f"{end}={port}"
    elif not end:
        parameters, before, after = _NO_PARAMETERS, f"{begin};branch=", ""
    else:
        return None
    if parameters or host != address:
        after = f"{after};received={address}"
    if int(sent_port) > LAST_PORT:
        return None
    form = (transport, host, int(sent_port), f"{host}:{int(sent_port)}", parameters, before, after)
    return remember(_usual_forms, key, form, 4096)


def parse_via(value: str) -> Via:
    """Read one Via value; raises MalformedMessage."""
    match = _PLAIN_VIA.match(value) or _VIA.match(value)
    if match is None:
        raise MalformedMessage("Malformed Via header")
    transport, host, port, parameter_text = match.groups()
    if port and int(port) > LAST_PORT:
        raise MalformedMessage("There is no such port as in Via")
    found = parse_parameters(parameter_text) if parameter_text else {}
    if found is None:
        raise MalformedMessage("Malformed Via parameters")
    branch = found.pop("branch", "")
    host = host.lower()
    if port is None:
        return Via(transport.upper(), host, None, f"{host}:", branch, found)
    return Via(transport.upper(), host, int(port), f"{host}:{int(port)}", branch, found)


def with_source(value: str, via: Via, address: str, port: int) -> str:
    """Write into a received Via value where it really came from: `received` and, when asked for, `rport`.

    RFC 3261 §18.2.1: `received` when sent-by is not that address; RFC 3581 §4: always along with `rport`.
    """
    asks_for_port = "rport" in via.parameters
    host = via.host[1:-1] if via.host.startswith("[") else via.host
    if not asks_for_port and host == address:
        return value
    if asks_for_port and value.endswith(";rport"):
        value = f"{value}={port}"
    elif asks_for_port:
        value = _RPORT.sub(f";rport={port}", value, count=1)
    if "received" in via.parameters:
        value = re.sub(r";\s*received\s*=\s*[^;\s]*", "", value, count=1, flags=re.IGNORECASE)
    return f"{value};received={address}"
