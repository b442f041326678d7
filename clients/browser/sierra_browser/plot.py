"""Plots as SVG, made here: no script draws them."""

from datetime import datetime, timezone

from markupsafe import Markup


def _nice_top(value):
    """The next round number that is not less: 1, 1.5, 2, 3, ..., 10, 15, ..."""
    top = 1
    while True:
        for factor in (1, 1.5, 2, 3, 4, 5, 8):
            if top * factor >= value:
                return top * factor
        top *= 10


def _clock(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S")


def _pieces(samples, gap):
    """Samples that belong together: no line across the time when none was taken."""
    pieces = []
    for sample in samples:
        if pieces and sample[0] - pieces[-1][-1][0] <= gap:
            pieces[-1].append(sample)
        else:
            pieces.append([sample])
    return pieces


def sparkline(samples, gap=60, width=120, height=26):
    """A small plot for a row of a table."""
    if len(samples) < 2:
        return ""
    first, last = samples[0][0], samples[-1][0]
    top = max(max(sample[2] or 0 for sample in samples), 1)
    paths = []
    for piece in _pieces(samples, gap):
        points = [
            f"{(t - first) / max(last - first, 1) * (width - 2) + 1:.1f},{height - 2 - (lag or 0) / top * (height - 4):.1f}"
            for t, _, lag in piece
        ]
        paths.append(f'<polyline points="{" ".join(points)}"/>')
    return Markup(
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="lag, at most {top:.0f} s">{"".join(paths)}</svg>'
    )


class LagPlot:
    """Lag over time, with axes.  column: 1 for events, 2 for seconds."""

    LEFT, RIGHT, TOP, BOTTOM, WIDTH, HEIGHT = 70, 12, 14, 28, 720, 220

    def __init__(self, samples, column, unit, gap):
        # A consumer that has nothing to do has no lag in seconds.
        self.samples = [(t, events or 0, seconds or 0) for t, events, seconds in samples]
        self.column, self.unit, self.gap = column, unit, gap
        if self.samples:
            self.first, self.last = self.samples[0][0], max(self.samples[-1][0], self.samples[0][0] + 60)
            self.top = _nice_top(max(s[column] for s in self.samples))

    def x(self, t):
        return self.LEFT + (t - self.first) / (self.last - self.first) * (self.WIDTH - self.LEFT - self.RIGHT)

    def y(self, value):
        return self.HEIGHT - self.BOTTOM - value / self.top * (self.HEIGHT - self.TOP - self.BOTTOM)

    def grid(self):
        parts = []
        for share in (0, 0.5, 1):
            y, value = self.y(self.top * share), self.top * share
            parts.append(f'<line class="grid" x1="{self.LEFT}" x2="{self.WIDTH - self.RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="axis end" x="{self.LEFT - 6}" y="{y + 4:.1f}">{value:g}</text>')
        for share, anchor in ((0, "start"), (0.5, "mid"), (1, "end")):
            t = self.first + share * (self.last - self.first)
            parts.append(f'<text class="axis {anchor}" x="{self.x(t):.1f}" y="{self.HEIGHT - 6}">{_clock(t)}</text>')
        return parts

    def lines(self):
        parts = []
        bottom = self.y(0)
        for piece in _pieces(self.samples, self.gap):
            points = " ".join(f"{self.x(s[0]):.1f},{self.y(s[self.column]):.1f}" for s in piece)
            begin, end = self.x(piece[0][0]), self.x(piece[-1][0])
            parts.append(f'<polygon class="area" points="{begin:.1f},{bottom:.1f} {points} {end:.1f},{bottom:.1f}"/>')
            parts.append(f'<polyline class="line" points="{points}"/>')
        last = self.samples[-1]
        parts.append(f'<circle class="dot" cx="{self.x(last[0]):.1f}" cy="{self.y(last[self.column]):.1f}" r="3"/>')
        return parts

    def svg(self):
        if not self.samples:
            return ""
        now = self.samples[-1][self.column]
        return Markup(
            f'<svg class="plot" viewBox="0 0 {self.WIDTH} {self.HEIGHT}" role="img"'
            f' aria-label="lag in {self.unit}, now {now:g}">{"".join(self.grid() + self.lines())}</svg>'
        )
