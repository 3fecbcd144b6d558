"""Figures as SVG text: they follow the page's colours, need no script, and every number in them is in a table too."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

_WIDTH, _LEFT, _RIGHT, _ROW = 760, 260, 60, 28


class Mark(NamedTuple):
    """One share with its interval."""

    label: str
    value: float
    low: float
    high: float
    kind: str  # "student", "baseline" or "teacher"


class Curve(NamedTuple):
    """One line of a chart; `bars` are (low, high) of each point where there are any."""

    label: str
    points: Sequence[tuple[float, float]]
    bars: Sequence[tuple[float, float]] = ()


class Dots(NamedTuple):
    """Single values, one a seed, with their mean and its interval."""

    label: str
    singles: Sequence[float]
    value: float
    low: float
    high: float


class Bar(NamedTuple):
    """One horizontal bar made of parts, (class, length) each, and what is written behind it."""

    label: str
    parts: Sequence[tuple[str, float]]
    text: str


def whiskers(marks: Sequence[Mark], title: str) -> Markup:
    """Shares with their intervals, one a row, on an axis from 0 to 100 %."""

    def at(share: float) -> float:
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    height = _ROW * len(marks) + 30
    inside = [_rule(at(tick / 4), height - 22, f"{25 * tick} %") for tick in range(5)]
    for row, mark in enumerate(marks):
        y = _ROW * row + 18
        said = f"{mark.label}: {mark.value:.1%}, 95 % interval {mark.low:.1%} to {mark.high:.1%}"
        inside += [
            f'<g class="{escape(mark.kind)}"><title>{escape(said)}</title>',
            _text(_LEFT - 10, y + 4, mark.label, "end"),
            f'<line class="span" x1="{at(mark.low):.1f}" x2="{at(mark.high):.1f}" y1="{y}" y2="{y}"/>',
            f'<circle cx="{at(mark.value):.1f}" cy="{y}" r="5"/>',
            _text(_WIDTH - _RIGHT + 8, y + 4, f"{mark.value:.1%}"),
            "</g>",
        ]
    return _svg(inside, height, title)


def dots(rows: Sequence[Dots], title: str, signed: bool = False) -> Markup:
    """A dot for each seed, and the mean with its interval, one row each, in per cent on an axis that holds them all."""
    ends = [end for row in rows for end in (*row.singles, row.low, row.high)] + ([0.0] if signed else [])
    wide = max(max(ends) - min(ends), 0.01)
    step = next((size for size in (0.01, 0.02, 0.05, 0.1, 0.2) if wide / size <= 8), 0.5)
    first, last = step * math.floor(min(ends) / step - 1e-9), step * math.ceil(max(ends) / step + 1e-9)
    if not signed:  # a share has ends
        first, last = max(first, 0.0), min(last, 1.0)

    def at(value: float) -> float:
        return _LEFT + (value - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    height = _ROW * len(rows) + 30
    ticks = [first + place * step for place in range(int((last - first) / step + 1e-6) + 1)]
    inside = [_rule(at(tick), height - 22, f"{100 * tick:{'+' if signed else ''}.0f}") for tick in ticks]
    if signed:
        inside.append(f'<line class="zero" x1="{at(0):.1f}" x2="{at(0):.1f}" y1="4" y2="{height - 22}"/>')
    for place, row in enumerate(rows):
        y, sign = _ROW * place + 18, "+" if signed else ""
        value, low, high = (f"{100 * one:{sign}.1f}" for one in (row.value, row.low, row.high))
        inside += [
            f'<g class="c0"><title>{escape(f"{row.label}: {value} [{low}, {high}]")}</title>',
            _text(_LEFT - 10, y + 4, row.label, "end"),
            f'<line class="span" x1="{at(row.low):.1f}" x2="{at(row.high):.1f}" y1="{y}" y2="{y}"/>',
            *(f'<circle class="single" cx="{at(one):.1f}" cy="{y}" r="3.5"/>' for one in row.singles),
            f'<line class="mean" x1="{at(row.value):.1f}" x2="{at(row.value):.1f}" y1="{y - 8}" y2="{y + 8}"/>',
            _text(_WIDTH - _RIGHT + 8, y + 4, value),
            "</g>",
        ]
    return _svg(inside, height, title)


def bars(rows: Sequence[Bar], title: str) -> Markup:
    """Horizontal bars on one common scale."""
    longest = max((sum(length for _, length in row.parts) for row in rows), default=0) or 1
    scale = (_WIDTH - _LEFT - 150) / longest
    inside: list[str] = []
    for place, row in enumerate(rows):
        x, y = float(_LEFT), _ROW * place + 6
        inside += [
            f"<g><title>{escape(f'{row.label}: {row.text}')}</title>",
            _text(_LEFT - 10, y + 13, row.label, "end"),
        ]
        for kind, length in row.parts:
            inside.append(
                f'<rect class="{escape(kind)}" x="{x:.1f}" y="{y}" width="{length * scale:.1f}" height="17"/>'
            )
            x += length * scale
        inside += [_text(x + 8, y + 13, row.text), "</g>"]
    return _svg(inside, _ROW * len(rows) + 8, title)


def curves(lines: Sequence[Curve], title: str, axes: tuple[str, str], percent: bool = False) -> Markup:
    """Lines over a common pair of axes; `axes` are the names of x and y."""
    shown = [line for line in lines if line.points]
    points = [point for line in shown for point in line.points]
    if not points:
        return Markup("")
    left, top, width, height = 60, 14, _WIDTH - 80, 230
    far = max(x for x, _ in points) or 1
    ends = [end for line in shown for bar in line.bars for end in bar]
    heights = [*(y for _, y in points), *ends]
    low = min(0.0, 1.05 * min(heights))  # what an objective tells, such as a log-probability, may lie below nothing
    high = 1.0 if percent else max(0.0, 1.05 * max(heights)) or (0.0 if low else 1.0)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / far * width, top + height - (y - low) / (high - low) * height

    inside = []
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] if percent else _between(low, high):
        _, y = at(0, tick)
        inside += [f'<line class="rule" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>']
        inside += [_text(left - 8, y + 4, f"{tick:.0%}" if percent else _short(tick), "end")]
    for tick in _ticks(far):
        inside += [_text(at(tick, 0)[0], top + height + 18, _short(tick), "middle")]
    inside += [_text(left + width, top + height + 36, axes[0], "end"), _text(left, 10, axes[1])]
    for place, line in enumerate(shown):
        inside += _curve(line, place, at)
    legend = _legend([line.label for line in shown], top + height + 36)
    return _svg([*inside, *legend], top + height + 46 + 18 * (len(shown) // 4), title)


def _between(low: float, high: float) -> list[float]:
    below = [-tick for tick in _ticks(-low)[1:]] if low else []
    return [*below, *(_ticks(high) if high else [0.0])]


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to at most `most`, five or so."""
    rough = most / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough)
    return [place * step for place in range(int(most / step + 1e-9) + 1)]


def _curve(line: Curve, place: int, at: Callable[[float, float], tuple[float, float]]) -> list[str]:
    colour = f"c{place % 6}"
    path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in _thinned(line.points))
    drawn = [f'<polyline class="line {colour}" points="{path}"><title>{escape(line.label)}</title></polyline>']
    if len(line.bars) > 1:
        ends = list(zip(line.points, line.bars, strict=True))
        there = [(x, high) for (x, _), (_, high) in ends] + [(x, low) for (x, _), (low, _) in reversed(ends)]
        edge = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in there)
        drawn.insert(0, f'<polygon class="band {colour}" points="{edge}"/>')
    for (x, y), (low, high) in zip(line.points, line.bars, strict=False):
        (across, down), (_, bottom), (_, top) = at(x, y), at(x, low), at(x, high)
        drawn.append(
            f'<line class="span {colour}" x1="{across:.1f}" x2="{across:.1f}" y1="{bottom:.1f}" y2="{top:.1f}"/>'
        )
        drawn.append(f'<circle class="{colour}" cx="{across:.1f}" cy="{down:.1f}" r="4"/>')
    return drawn


def _thinned(points: Sequence[tuple[float, float]], most: int = 700) -> Sequence[tuple[float, float]]:
    """No more points than there are pixels; each stands for the mean of those it replaces."""
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _legend(labels: Iterable[str], y: float) -> list[str]:
    drawn = []
    for place, label in enumerate(labels):
        x, down = 60 + 160 * (place % 4), y + 18 * (place // 4)
        drawn.append(f'<rect class="c{place % 6} key" x="{x}" y="{down - 9}" width="14" height="10"/>')
        drawn.append(_text(x + 20, down, label if len(label) <= 20 else label[:19] + "…"))
    return drawn


def _rule(x: float, bottom: float, label: str) -> str:
    return f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}"/>' + _text(
        x, bottom + 16, label, "middle"
    )


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    if anchor == "end" and len(words) > 38:
        words = words[:37] + "…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _svg(inside: Iterable[str], height: float, title: str) -> Markup:
    head = f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}{''.join(inside)}</svg>")  # noqa: S704 - every text in it went through escape
