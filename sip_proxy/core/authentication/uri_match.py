"""Does the URI that a phone signed stand for the request that it sent?"""

import re
from typing import Final
from urllib.parse import unquote

from sip_proxy.core.remembering import remember

_URI: Final = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@;?]*(?:;[^@?]*)?)@)?(?P<host>\[[^\]]*\]|[^:;?@]*)(?::(?P<port>\d+))?(?:[;?].*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_REMEMBERED: Final = 128
_matches: Final[dict[tuple[str, str], bool]] = {}
_DEFAULT_PORT: Final = {"sip": "5060", "sips": "5061"}


def digest_uri_matches(digest_uri: str, request_uri: str) -> bool:
    """Tell whether the `uri` of digest credentials names the resource of the Request-URI.

    RFC 7616 §3.4.6 asks that they name the same resource. Phones write that resource in other words, so this
    is lenient, and only so far:

    - parameters and headers are not compared, nor a default port: phones leave `;transport=` and `:5060` out
      of one of the two;
    - a signed URI without a user part stands for the exchange itself, whatever it calls it: SIPp signs
      `sip:<address>:<port>` in all requests. That takes nothing from phones that sign the number they call,
      because nobody else can take the number out of what they signed.
    """
    if digest_uri == request_uri:
        return True
    if len(digest_uri) + len(request_uri) > _LONGEST_REMEMBERED:
        return _names_the_same(digest_uri, request_uri)
    known = _matches.get((digest_uri, request_uri))
    if known is not None:
        return known
    is_same = _names_the_same(digest_uri, request_uri)
    return remember(_matches, (digest_uri, request_uri), is_same, 512)


def _names_the_same(digest_uri: str, request_uri: str) -> bool:
    signed = _URI.match(digest_uri)
    sent = _URI.match(request_uri)
    if signed is None or sent is None:
        return False
    if signed["user"] is None:
        return True
    return (
        unquote(signed["user"]) == unquote(sent["user"] or "")
        and signed["scheme"].lower() == sent["scheme"].lower()
        and signed["host"].lower() == sent["host"].lower()
        and _port(signed) == _port(sent)
    )


def _port(uri: re.Match[str]) -> str:
    port: str | None = uri["port"]
    return port if port is not None else _DEFAULT_PORT[uri["scheme"].lower()]
