"""Whether what is written in figures can be read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """All that is written, by where, once the layout is made."""
    figure.draw_without_rendering()
    beyond = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _out_of_sight(axis)}
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in found if text not in beyond]


def written(figure: Figure) -> list[str]:
    """All that is written."""
    return [text for text, _ in texts(figure)]


def _out_of_sight(axis: Axis) -> list[Text]:
    """Labels of ticks beyond the axis, which are not drawn."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [label for tick in ticks if not low <= tick.get_loc() <= high for label in (tick.label1, tick.label2)]


def assert_legible(figures: Mapping[str, Figure]) -> None:
    """Nothing that is written overlaps or leaves its figure."""
    assert figures
    for name, figure in figures.items():
        found = texts(figure)
        width, height = figure.get_size_inches() * 100
        for text, box in found:
            assert -1 <= box.x0 <= box.x1 <= width + 1, (name, text)
            assert -1 <= box.y0 <= box.y1 <= height + 1, (name, text)
        for (text, box), (other, another) in combinations(found, 2):
            room = 4 if min(len(text), len(other)) > 2 else 0  # words need more of it than digits
            apart = box.x1 + room < another.x0 + 2 or another.x1 + room < box.x0 + 2
            apart |= box.y1 < another.y0 + 2 or another.y1 < box.y0 + 2
            assert apart or box.width <= 3, (name, text, other)
