"""The small pieces of the grammar of RFC 3261 §25 that several headers share."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_PARAMETER: Final = re.compile(
    r"""\s*+;\s*+([^\s;=,"<>]++)\s*+(?:=\s*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s;,"]*+))?""",
    re.DOTALL,
)
# What nearly every header has: no spaces, no quotes.
_SIMPLE_PARAMETERS: Final = re.compile(r"""(?:;[^\s;=,"<>]+(?:=[^\s;,"]*)?)+\Z""")
# A quote or bracket that is never closed reaches to the end: nothing is looked for in the same text again.
_QUOTED_OR_BRACKETED: Final = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|<[^>]*+(?:>|\Z)|,', re.DOTALL
)
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def split_commas(value: str) -> list[str]:
    """Split a header value that may hold several (RFC 3261 §7.3.1), minding quotes and angle brackets."""
    if "," not in value:
        return [value.strip()]
    if '"' not in value and "<" not in value:
        return [part.strip() for part in value.split(",")]
    parts = []
    start = 0
    for match in _QUOTED_OR_BRACKETED.finditer(value):
        if match.group() == ",":
            parts.append(value[start : match.start()].strip())
            start = match.end()
    parts.append(value[start:].strip())
    return parts


def parse_parameters(text: str) -> dict[str, str] | None:
    """Read `;name=value;flag` into a dict with lower-case names; a flag has the value "".

    Quoted values come without their quotes. Returns None when the text breaks the grammar or names a
    parameter twice.
    """
    if _SIMPLE_PARAMETERS.match(text):
        pairs = [part.partition("=") for part in text[1:].split(";")]
        simple = {name.lower(): value for name, _, value in pairs}
        return simple if len(simple) == len(pairs) else None
    parameters: dict[str, str] = {}
    position = 0
    while (match := _PARAMETER.match(text, position)) is not None:
        position = match.end()
        name = match[1].lower()
        if name in parameters:
            return None
        value = match[2] or ""
        parameters[name] = unquote_string(value) if value.startswith('"') else value
    return parameters if not text[position:].strip() else None


def quote_string(text: str) -> str:
    """Write text as a quoted-string; what can't be printed is replaced, so no line can be broken."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote_string(quoted: str) -> str:
    """Read a quoted-string, with its quotes."""
    inner = quoted[1:-1]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


def percent_decoded(text: str) -> str:
    """Undo the escapes of a URI part (RFC 3261 §19.1.2)."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def printable(text: str, limit: int = 256) -> str:
    """Make text from a message safe to show and to store: no control character, no broken UTF-8, no flood."""
    text = text[:limit]
    return text if text.isprintable() else _UNPRINTABLE.sub("\ufffd", text)
