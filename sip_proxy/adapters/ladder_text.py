"""A ladder in plain text, for terminals and tickets."""

from sip_proxy.adapters.instants import rfc3339
from sip_proxy.adapters.ladder import EXCHANGE, Ladder, LadderMessage

_WIDTH = 42
_TIME_WIDTH = 10


def draw_text(ladder: Ladder) -> str:
    """Draw a ladder; what doesn't fit on an arrow is cut off."""
    columns = ladder.columns
    began_at = rfc3339(ladder.messages[0].at)
    lines = [f"Call-ID {_printable(ladder.call_id)}", f"began   {began_at}", ""]
    for row in (0, 1):
        heads = [_printable(ladder.heading(column)[row])[: _WIDTH - 2] for column in columns]
        # Each head is centred over its column's line; the first line stands right behind the time.
        lines.append(f"{heads[0]:^{2 * _TIME_WIDTH}}" + _centred(heads[1:]))
    lines += [
        f"{ladder.offset(message):+{_TIME_WIDTH - 2}.3f}s {_arrow(message, columns)}"
        for message in ladder.messages
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _centred(heads: list[str]) -> str:
    return " " * (_WIDTH // 2 - _TIME_WIDTH) + "".join(f"{head:^{_WIDTH}}" for head in heads)


def _arrow(message: LadderMessage, columns: list[str]) -> str:
    here, there = columns.index(EXCHANGE), columns.index(message.peer)
    left, right = min(here, there), max(here, there)
    length = (right - left) * _WIDTH - 1
    label = f" {_printable(message.label)[: length - 6]} "
    points_right = message.is_incoming == (there < here)
    shaft = f"{label:-^{length - 1}}"
    arrow = f"{shaft}>" if points_right else f"<{shaft}"
    cells = list(("|" + " " * (_WIDTH - 1)) * (len(columns) - 1) + "|")
    cells[left * _WIDTH + 1 : right * _WIDTH] = arrow
    return "".join(cells)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
