"""The handset on its cradle: a click lifts it or puts it back."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QLinearGradient, QPainter, QPainterPath, QPaintEvent, QPen
from PyQt6.QtWidgets import QAbstractButton

from softphone.ui import colours


class Handset(QAbstractButton):
    """Shows the hook as `set_lifted` says; a click asks for the other state by `clicked`."""

    def __init__(self) -> None:
        super().__init__()
        self._lifted = False
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_lifted(lifted=False)

    def sizeHint(self) -> QSize:  # noqa: N802  # Qt's name
        return QSize(140, 440)

    @property
    def is_lifted(self) -> bool:
        return self._lifted

    def set_lifted(self, *, lifted: bool) -> None:
        self._lifted = lifted
        self.setAccessibleName("Handset, lifted" if lifted else "Handset, on hook")
        self.setToolTip("Put the handset back (space)" if lifted else "Lift the handset (space)")
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  # Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(18, 6, -16, -6)
        self._paint_cradle(painter, area)
        painter.save()
        if self._lifted:
            # Taken in the hand: out of its wells, leaning to the left.
            painter.translate(area.center() + QPointF(-6, -8))
            painter.rotate(-3)
            painter.translate(-area.center())
        self._paint_cord(painter, area)
        self._paint_handset(painter, area)
        painter.restore()

    def _paint_cradle(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(QPen(colours.BODY_EDGE, 1))
        painter.setBrush(colours.WELL)
        painter.drawRoundedRect(area.adjusted(4, 4, -4, -4), 22, 22)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.BODY_EDGE)
        for centre_y in (area.top() + area.height() * 0.14, area.bottom() - area.height() * 0.14):
            painter.drawEllipse(
                QPointF(area.center().x(), centre_y), area.width() * 0.32, area.width() * 0.32
            )

    def _paint_handset(self, painter: QPainter, area: QRectF) -> None:
        shape = _handset_shape(area)
        if self._lifted:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours.BODY_EDGE)
            painter.setOpacity(0.45)
            painter.drawPath(shape.translated(7, 9))
            painter.setOpacity(1)
        gradient = QLinearGradient(area.topLeft(), area.topRight())
        gradient.setColorAt(0.1, colours.HANDSET_LIGHT)
        gradient.setColorAt(0.45, colours.HANDSET_LIGHT.darker(112))
        gradient.setColorAt(0.9, colours.HANDSET_DARK)
        painter.setPen(QPen(colours.BODY_EDGE, 1.2))
        painter.setBrush(gradient)
        painter.drawPath(shape)
        # The light along the grip.
        painter.setPen(QPen(colours.HANDSET_LIGHT.lighter(122), 1.6))
        x = area.left() + area.width() * 0.35
        reach = area.height() * 0.31
        painter.drawLine(QPointF(x, area.top() + reach), QPointF(x, area.bottom() - reach))

    def _paint_cord(self, painter: QPainter, area: QRectF) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colours.CORD, 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        cord = QPainterPath(QPointF(area.center().x(), area.bottom() - 20))
        cord.quadTo(
            QPointF(area.center().x() + 6, area.bottom() + 8), QPointF(area.right() - 4, area.bottom() + 4)
        )
        painter.drawPath(cord)


def _handset_shape(area: QRectF) -> QPainterPath:
    """Two cups that flow into the grip between them, as one outline."""
    middle, top, bottom = area.center().x(), area.top() + 10, area.bottom() - 10
    cup, grip = area.width() * 0.43, area.width() * 0.25  # half widths
    corner, cup_end, grip_start = 30.0, area.height() * 0.19, area.height() * 0.30
    path = QPainterPath(QPointF(middle - cup + corner, top))
    path.lineTo(middle + cup - corner, top)
    path.quadTo(middle + cup, top, middle + cup, top + corner)
    _flow(path, middle + cup, top + cup_end, middle + grip, top + grip_start)
    _flow(path, middle + grip, bottom - grip_start, middle + cup, bottom - cup_end)
    path.lineTo(middle + cup, bottom - corner)
    path.quadTo(middle + cup, bottom, middle + cup - corner, bottom)
    path.lineTo(middle - cup + corner, bottom)
    path.quadTo(middle - cup, bottom, middle - cup, bottom - corner)
    _flow(path, middle - cup, bottom - cup_end, middle - grip, bottom - grip_start)
    _flow(path, middle - grip, top + grip_start, middle - cup, top + cup_end)
    path.lineTo(middle - cup, top + corner)
    path.quadTo(middle - cup, top, middle - cup + corner, top)
    return path


def _flow(path: QPainterPath, from_x: float, from_y: float, to_x: float, to_y: float) -> None:
    """A straight line to the first point, then an S-curve that leaves and arrives upright."""
    path.lineTo(from_x, from_y)
    half = (from_y + to_y) / 2
    path.cubicTo(from_x, half, to_x, half, to_x, to_y)
