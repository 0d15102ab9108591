"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966)."""

import ipaddress
import re
from typing import Final, NamedTuple

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import parse_parameters, percent_decoded
from sip_proxy.core.remembering import remember

LONGEST_ADDRESS: Final = 2048  # of a URI, and of an address with its name and parameters

_SIP_URI: Final = re.compile(
    r"(sips?):"
    r"(?:([^\s\x00-\x1f\x7f@<>\":]*+)(?::[^\s\x00-\x1f\x7f@<>\"]*+)?@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)"
    r"(?::([0-9]{1,5}))?"
    r"((?:;[^?\s\x00-\x1f\x7f<>\"]*)?)"
    r"(\?[^\s\x00-\x1f\x7f<>\"]*)?\Z",
    re.IGNORECASE,
)
# What nearly every phone and dialled number has.
_USUAL_URI: Final = re.compile(r"sip:([0-9A-Za-z*#+\-_.]++)@([0-9a-z.\-]++)(?::([1-9][0-9]{0,3}+))?+\Z")
_TEL_URI: Final = re.compile(r"tel:(\+?[0-9A-Fa-f*#().\-]+)(;[^\s\x00-\x1f\x7f<>\"]*)?\Z", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f\x7f<>\"]")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# §25.1; its parameters follow a semicolon.
_TELEPHONE_SUBSCRIBER: Final = re.compile(r"\+?[0-9A-Fa-f*#().\-]+\Z")
_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")


class UnknownScheme(MalformedMessage):
    """The URI is neither SIP nor tel: 416 where a request is addressed to it (RFC 3261 §16.3)."""

    def __init__(self) -> None:
        super().__init__("Unsupported URI Scheme", status=416)


class Uri(NamedTuple):
    """A URI in parts. A tuple, because nearly every call has one that was not seen lately.

    `user` is still escaped and has no password; it is "" when there is none. `host` is in lower case, an IPv6
    reference keeps its brackets and is in its shortest form (RFC 5952). A tel URI has its number as `user`
    and "" as `host`.
    """

    scheme: str
    user: str
    host: str
    port: int | None
    parameters: dict[str, str]
    headers: str

    @property
    def number(self) -> str:
        """The number that the URI names: the user part, decoded, without parameters of a telephone number."""
        text, semicolon, _ = self.user.partition(";")
        number = percent_decoded(text)
        if semicolon and not _TELEPHONE_SUBSCRIBER.match(number):
            return percent_decoded(self.user)
        return number

    @property
    def address(self) -> str:
        """The host without the brackets of an IPv6 reference."""
        return self.host[1:-1] if self.host.startswith("[") else self.host

    def equality_key(self) -> tuple[object, ...]:
        """A key that is equal for URIs that RFC 3261 §19.1.4 calls equal, as far as contacts need it.

        Of the parameters only those count that matter when one side lacks them.
        """
        named = tuple(
            self.parameters.get(name, "").lower() for name in ("user", "ttl", "method", "maddr", "transport")
        )
        return (self.scheme, percent_decoded(self.user), self.host, self.port, named)


_uris: Final[dict[str, Uri]] = {}


def parse_uri(text: str) -> Uri:
    """Read a URI.

    Raises UnknownScheme when it is neither SIP nor tel, MalformedMessage when it breaks the grammar.
    """
    known = _uris.get(text)
    return remember(_uris, text, _parse(text), 1024) if known is None else known


def _parse(text: str) -> Uri:
    if len(text) > LONGEST_ADDRESS:
        raise MalformedMessage("A URI is too long")
    usual = _USUAL_URI.match(text)
    if usual is not None:
        user, host, port = usual.groups()
        return Uri("sip", user, host, int(port) if port else None, {}, "")
    match = _SIP_URI.match(text)
    if match is None:
        return _parse_other(text)
    scheme, user, host, port, parameter_text, headers = match.groups()
    if user is None:
        user = ""
    elif not user or _BROKEN_ESCAPE.search(user):
        raise MalformedMessage("Malformed user part of a URI")
    port_number = int(port) if port else None
    if port_number is not None and not 0 < port_number < 65536:
        raise MalformedMessage("Port out of range in a URI")
    parameters = parse_parameters(parameter_text) if parameter_text else {}
    if parameters is None:
        raise MalformedMessage("Malformed URI parameters")
    host = _shortest_reference(host) if host.startswith("[") else host.lower()
    return Uri(scheme.lower(), user, host, port_number, parameters, headers or "")


def _shortest_reference(reference: str) -> str:
    """Write an IPv6 reference in one way, so that equal ones are equal.

    Three colons are two: the grammar of RFC 3261 used to make them so (RFC 5118 §4.10).
    """
    try:
        address = ipaddress.IPv6Address(reference[1:-1].replace(":::", "::"))
    except ValueError:
        raise MalformedMessage("Malformed IPv6 address in a URI") from None
    return f"[{address}]"


def _parse_other(text: str) -> Uri:
    tel = _TEL_URI.match(text)
    if tel is not None:
        return Uri("tel", tel[1].translate(_VISUAL_SEPARATORS), "", None, {}, "")
    scheme = text.partition(":")[0].lower()
    if _SCHEME.match(text) and scheme not in {"sip", "sips", "tel"}:
        raise UnknownScheme
    raise MalformedMessage("Malformed URI")
