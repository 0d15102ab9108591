"""A ladder as a picture (SVG), for the console and for reports."""

from xml.sax.saxutils import escape

from sip_proxy.adapters.instants import rfc3339
from sip_proxy.adapters.ladder import EXCHANGE, Ladder, LadderMessage

_MARGIN, _TIME, _COLUMN, _ROW, _HEAD = 20, 80, 290, 30, 96
_STYLE = """
    .page { fill: #ffffff }
    .life { stroke: #b7c1cb; stroke-width: 1.5; stroke-dasharray: 4 4 }
    .head { font-size: 14px; font-weight: 600; fill: #1d2733; text-anchor: middle }
    .where { font-size: 11.5px; fill: #526070; text-anchor: middle }
    .time { font-size: 11.5px; fill: #526070; font-variant-numeric: tabular-nums }
    .label { font-size: 12.5px; fill: #1d2733; text-anchor: middle }
    .request { stroke: #2563a8; stroke-width: 1.6; marker-end: url(#tip) }
    .response { stroke: #526070; stroke-width: 1.6; stroke-dasharray: 6 3; marker-end: url(#tip) }
    .failure { stroke: #b3261e; stroke-width: 1.6; stroke-dasharray: 6 3; marker-end: url(#tip) }
"""


def draw_svg(ladder: Ladder) -> str:
    """Draw a ladder; its size grows with the messages."""
    columns = ladder.columns
    width = 2 * _MARGIN + _TIME + _COLUMN * len(columns)
    height = _HEAD + _ROW * len(ladder.messages) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" role="img" aria-labelledby="title">',
        f'<title id="title">{_text(f"The messages of the call {ladder.call_id}")}</title>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 1L9 5L0 9" fill="none" stroke="context-stroke"/></marker></defs>',
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text class="time" x="{_MARGIN}" y="26">{rfc3339(ladder.messages[0].at)}  '
        f"{_text(ladder.call_id[:120])}</text>",
    ]
    for column in columns:
        x = _x(columns, column)
        name, where = ladder.heading(column)
        parts += [
            f'<text class="head" x="{x}" y="58">{_text(name)}</text>',
            f'<text class="where" x="{x}" y="76">{_text(where)}</text>',
            f'<line class="life" x1="{x}" y1="{_HEAD - 12}" x2="{x}" y2="{height - _MARGIN // 2}"/>',
        ]
    for row, message in enumerate(ladder.messages):
        parts += _arrow(ladder, message, columns, _HEAD + _ROW * row + _ROW // 2)
    parts.append("</svg>\n")
    return "\n".join(parts)


def _arrow(ladder: Ladder, message: LadderMessage, columns: list[str], y: int) -> list[str]:
    here, there = _x(columns, EXCHANGE), _x(columns, message.peer)
    start, end = (there, here) if message.is_incoming else (here, there)
    gap = 3 if end > start else -3
    return [
        f'<text class="time" x="{_MARGIN}" y="{y + 4}">{ladder.offset(message):+.3f} s</text>',
        f'<line class="{_kind(message)}" x1="{start + gap}" y1="{y}" x2="{end - gap}" y2="{y}"/>',
        f'<text class="label" x="{(start + end) // 2}" y="{y - 5}">{_text(message.label[:60])}</text>',
    ]


def _kind(message: LadderMessage) -> str:
    if not message.start_line.startswith("SIP/"):
        return "request"
    return "failure" if message.start_line[8:9] in {"4", "5", "6"} else "response"


def _x(columns: list[str], column: str) -> int:
    return _MARGIN + _TIME + _COLUMN // 2 + _COLUMN * columns.index(column)


def _text(text: str) -> str:
    """Return text that is safe in a document: XML has no way to write most control characters."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))
