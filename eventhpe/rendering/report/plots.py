"""Plots of values over time as inline SVG that stretches with the page while its text does not.

Curves lie in an inner picture that is stretched to the width there is; ticks, bands and the cursor
stand in the outer one at shares of it. Colours are from Okabe and Ito's palette and never stand
alone: the truth is dashed, states have patterns and names.
"""

import itertools
import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventhpe.sequence import STATE_NAMES

Float = NDArray[np.floating[Any]]

BLUE, VERMILLION, BLACK = "#0072B2", "#D55E00", "#222222"

_HEIGHT = 150  # pixels of a plot's curves
_WIDTH = 1000  # units of the stretched picture
_BAND_HEIGHT = 26
_NAMED_SHARE = 0.18  # of the width; a shorter band has no room for its name on a narrow page
_FEWEST_TICKS = 4


@dataclass(frozen=True)
class Curve:
    """One line: its name, its values (T,), NaN where there is none, and how it is drawn."""

    name: str
    values: Float
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Plot:
    """Curves over one time line.

    Attributes:
        title, unit: what is drawn.
        seconds: (T,) the values' times, from the recording's origin.
        low, high: ends of the vertical axis; None follows the curves.
        digits: decimal places of a value that is read off.
    """

    title: str
    unit: str
    seconds: Float
    curves: tuple[Curve, ...]
    low: float | None = None
    high: float | None = None
    digits: int = 0

    def limits(self) -> tuple[float, float]:
        """Both ends of the vertical axis; those not given lie on ticks around the curves."""
        values = np.concatenate([curve.values for curve in self.curves])
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        low = float(low) if self.low is None else self.low
        high = float(high) if self.high is None else self.high
        if high - low < 1e-9:
            high = low + 1.0
        step = tick_step(low, high)
        if self.low is None:
            low = step * math.floor(low / step)
        if self.high is None:
            high = step * math.ceil(high / step)
        return low, high


def tick_step(low: float, high: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that gives `_FEWEST_TICKS` steps or more."""
    rough = (high - low) / _FEWEST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return power * max(factor for factor in (1.0, 2.0, 5.0) if factor * power <= rough * 1.0001)


def ticks(low: float, high: float) -> list[float]:
    """Multiples of `tick_step` within [low, high]."""
    step = tick_step(low, high)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [step * number for number in range(first, last + 1)]


def draw(plot: Plot, index: int, span: tuple[float, float]) -> str:
    """A plot as HTML.

    Args:
        index: the plot's number on the page.
        span: the first and last moment of the page's time line, seconds.
    """
    low, high = plot.limits()
    rows = "".join(_row(value, low, high) for value in ticks(low, high))
    lines = "".join(_path(curve, plot.seconds, span, (low, high)) for curve in plot.curves)
    unit = f" <span class='unit'>{escape(plot.unit)}</span>" if plot.unit else ""
    label = f"{plot.title} over time"
    return (
        f"<figure class='plot' data-plot='{index}'><figcaption><h3>{escape(plot.title)}{unit}</h3>"
        f"{_legend(plot)}</figcaption><div class='axes'>"
        f"<svg width='100%' height='{_HEIGHT}' role='img' aria-label='{escape(label)}'>"
        f"{rows}{_columns(span, _HEIGHT)}"
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' preserveAspectRatio='none' width='100%' "
        f"height='{_HEIGHT}'>{lines}</svg>{_cursor(_HEIGHT)}</svg></div></figure>"
    )


def draw_states(states: NDArray[np.uint8], seconds: Float, span: tuple[float, float]) -> str:
    """The states as bands with a pattern and, where there is room, their name.

    Args:
        states: (T,) indices into `STATE_NAMES`.
        seconds: (T,) their times; a state lasts until the next one.
        span: the first and last moment of the page's time line, seconds.
    """
    bands = "".join(
        _band(state, start, stop, span) for state, start, stop in runs(states, seconds, span[1])
    )
    keys = "".join(
        f"<li><svg class='key' width='26' height='14'><rect class='band {name}' width='26' "
        f"height='14'/></svg> {name}</li>"
        for name in reversed(STATE_NAMES)
    )
    return (
        "<figure class='plot states'><figcaption><h3>State</h3>"
        f"<ul class='legend'>{keys}<li>at the cursor: <output id='state'></output></li></ul>"
        "</figcaption><div class='axes'>"
        f"<svg width='100%' height='{_BAND_HEIGHT}' role='img' aria-label='State over time'>"
        f"{bands}{_columns(span, _BAND_HEIGHT)}{_cursor(_BAND_HEIGHT)}</svg></div></figure>"
    )


def runs(states: NDArray[np.uint8], seconds: Float, end: float) -> list[tuple[int, float, float]]:
    """Stretches of one state: it, when it begins, and when the next one does (or ``end``)."""
    first = [0, *(np.flatnonzero(np.diff(states.astype(int))) + 1).tolist()]
    starts = [*(float(seconds[k]) for k in first), end]
    return [
        (int(states[k]), start, stop)
        for k, (start, stop) in zip(first, itertools.pairwise(starts), strict=True)
    ]


def _legend(plot: Plot) -> str:
    """The curves' names, each with its value at the cursor."""
    items = []
    for number, curve in enumerate(plot.curves):
        dash = " stroke-dasharray='5 3'" if curve.dashed else ""
        items.append(
            "<li><svg class='key' width='26' height='10'><line x1='0' x2='26' y1='5' y2='5' "
            f"stroke='{curve.colour}' stroke-width='2.5'{dash}/></svg> {escape(curve.name)} "
            f"<output data-curve='{number}'></output></li>"
        )
    return f"<ul class='legend'>{''.join(items)}</ul>"


def _row(value: float, low: float, high: float) -> str:
    """A grid line across, with its number at the left."""
    y = _HEIGHT * (high - value) / (high - low)
    return (
        f"<line class='grid' x1='0' x2='100%' y1='{y:.1f}' y2='{y:.1f}'/>"
        f"<text class='tick' x='-6' y='{y + 4:.1f}' text-anchor='end'>{_number(value)}</text>"
    )


def _columns(span: tuple[float, float], height: int) -> str:
    """Marks below, with seconds."""
    parts = []
    for value in ticks(*span):
        x = f"{100 * _share(value, span):.2f}%"
        parts.append(
            f"<line class='grid' x1='{x}' x2='{x}' y1='0' y2='{height + 4}'/>"
            f"<text class='tick' x='{x}' y='{height + 16}' text-anchor='middle'>"
            f"{_number(value)} s</text>"
        )
    return "".join(parts)


def _cursor(height: int) -> str:
    return f"<line class='cursor' x1='0' x2='0' y1='0' y2='{height}'/>"


def _path(
    curve: Curve, seconds: Float, span: tuple[float, float], limits: tuple[float, float]
) -> str:
    """The curve in the stretched picture, broken where it has no value."""
    low, high = limits
    x = _WIDTH * _share(seconds, span)
    y = _HEIGHT * (high - curve.values) / (high - low)
    pieces, pen = [], "M"
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(down):
            pen = "M"
            continue
        pieces.append(f"{pen}{across:.1f} {down:.1f}")
        pen = "L"
    dash = " stroke-dasharray='5 3'" if curve.dashed else ""
    return f"<path class='curve' stroke='{curve.colour}'{dash} d='{''.join(pieces)}'/>"


def _band(state: int, start: float, stop: float, span: tuple[float, float]) -> str:
    name = STATE_NAMES[state]
    left, width = _share(start, span), _share(stop, span) - _share(start, span)
    rect = f"x='{100 * left:.3f}%' width='{100 * width:.3f}%' y='0' height='{_BAND_HEIGHT}'"
    drawn = f"<rect class='band {name}' {rect}/>"
    if width < _NAMED_SHARE:
        return drawn
    middle = f"x='{100 * (left + width / 2):.3f}%' y='{_BAND_HEIGHT / 2 + 4:g}'"
    return f"{drawn}<text class='name' {middle} text-anchor='middle'>{name}</text>"


def _share(value: Any, span: tuple[float, float]) -> Any:
    return (value - span[0]) / (span[1] - span[0])


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}") if abs(value) > 1e-9 else "0"
