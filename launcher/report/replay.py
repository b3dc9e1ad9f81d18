"""A replay as a table, and as a picture of one session (SVG). Pure."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Protocol

from launcher.report.lines import ENGLISH, Line, Paper, Tone, columns, padded
from launcher.words import counted, spelled, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.words import Text

GAP = "  "
BETTER = "<"


class Sums(Protocol):
    """What one policy did to all sessions."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def window_s(self) -> float: ...  # noqa: D102
    @property
    def sessions(self) -> int: ...  # noqa: D102
    @property
    def releases(self) -> int: ...  # noqa: D102
    @property
    def false(self) -> int: ...  # noqa: D102
    @property
    def unproven(self) -> int: ...  # noqa: D102
    @property
    def false_per_100h(self) -> float: ...  # noqa: D102
    @property
    def recovered_percent(self) -> float: ...  # noqa: D102
    @property
    def unused_percent(self) -> float: ...  # noqa: D102


def replay_screen(
    sums: Sequence[tuple[Sums, bool]],
    releases: Sequence[tuple[str, float, float | None, bool]],
    remarks: Iterable[Text] = (),
    paper: Paper = ENGLISH,
) -> list[Line]:
    """A line for each policy. `sums` has (sums, better than ours?), `releases` is that of the one session.

    Where there are several sessions only the sums are shown.
    """
    single = bool(sums) and sums[0][0].sessions == 1
    lines = _single(releases, paper) if single else [*sums_table(sums, paper), *_legend(sums, paper)]
    told = [line for remark in remarks for line in paper.headed("!", remark, Tone.CAREFUL)]
    return [*lines, *told]


def _single(releases: Sequence[tuple[str, float, float | None, bool]], paper: Paper) -> list[Line]:
    heads: list[Text] = [words("POLICY"), words("WINDOW"), words("WOULD RELEASE")]
    rows = [[name, spelled(window_s), _when(at, false)] for name, window_s, at, false in releases]
    return _table([heads, *rows], paper)


def _when(at: float | None, false: bool) -> Text:
    if at is None:
        return words("never")
    after = spelled(at)
    return (
        words("after {time}; work went on later", time=after) if false else words("after {time}", time=after)
    )


def sums_table(sums: Sequence[tuple[Sums, bool]], paper: Paper = ENGLISH) -> list[Line]:
    """Of many sessions: a line for each policy, marked where it is better than ours on both axes."""
    heads: list[Text] = [
        words("POLICY"),
        words("WINDOW"),
        words("RELEASES"),
        words("FALSE"),
        words("FALSE/100 H"),
        words("RECOVERED"),
        words("UNUSED"),
    ]
    rows = [
        [
            f"{one.name} {BETTER}" if better else one.name,
            spelled(one.window_s),
            str(one.releases),
            str(one.false),
            f"{one.false_per_100h:.2f}",
            f"{one.recovered_percent:.1f} %",
            f"{one.unused_percent:.1f} %",
        ]
        for one, better in sums
    ]
    return _table([heads, *rows], paper)


def _legend(sums: Sequence[tuple[Sums, bool]], paper: Paper) -> list[Line]:
    said: list[Text] = [
        words(
            "false: GPU work went on after the release. Recovered: of the idle GPU hours of sessions that "
            "worked; unused: of those that never did."
        )
    ]
    unproven = max((one.unproven for one, _ in sums), default=0)
    if unproven:
        said.append(
            counted(
                "{count} session at most went on after its recording; how is not known.",
                "{count} sessions at most went on after their recordings; how is not known.",
                unproven,
            )
        )
    if any(better for _, better in sums):
        said.append(words("{mark} is better on both axes than colab-run with this window.", mark=BETTER))
    return [line for sentence in said for line in paper.wrapped(sentence)]


def _table(table: Sequence[Sequence[Text]], paper: Paper) -> list[Line]:
    shown = [[paper.text(cell) for cell in cells] for cells in table]
    widths = [max(columns(cells[at]) for cells in shown) for at in range(len(shown[0]))]
    return [Line(GAP.join(map(padded, cells, widths)).rstrip()) for cells in shown]


# --- the picture ----------------------------------------------------------------------------------

# In pixels: the curve, room for names on its left and for what is said on its right, a row for each policy.
LEFT, WIDTH, RIGHT, TOP, HEIGHT, ROW = 150, 640, 260, 30, 120, 20
_HOURS = (1 / 60, 1 / 12, 1 / 4, 1 / 2, 1, 2, 3, 6, 12, 24, 48, 96, 168)
_STEPS = 8


def picture(
    curve: Sequence[tuple[float, float | None]],
    end_s: float,
    releases: Sequence[tuple[str, float, float | None, bool]],
    paper: Paper = ENGLISH,
) -> str:
    """One session as SVG: use of the busiest GPU over time, and below it what each policy would have done.

    `curve` has (seconds, percent or None for unknown); `releases` (policy, window in seconds, when or None,
    did work go on?). The same values give the same text.
    """
    end_s = max(end_s, curve[-1][0] if curve else 0.0, 1.0)
    high = TOP + HEIGHT + 25 + ROW * len(releases) + 10
    wide = LEFT + WIDTH + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
        _text(LEFT, 18, paper.text(words("GPU use in percent, over hours"))),
        _text(LEFT - 6, TOP + 8, "100", "end"),
        _text(LEFT - 6, TOP + HEIGHT, "0", "end"),
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
        *_hours(end_s),
        *_curve(curve, end_s),
    ]
    for number, release in enumerate(releases):
        parts += _row(release, end_s, TOP + HEIGHT + 40 + ROW * number, paper)
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _x(at: float, end_s: float) -> float:
    return LEFT + WIDTH * min(max(at / end_s, 0.0), 1.0)


def _hours(end_s: float) -> list[str]:
    step = next((step for step in _HOURS if end_s / 3600 / step <= _STEPS), end_s / 3600 / _STEPS)
    parts = []
    for number in range(math.floor(end_s / 3600 / step) + 1):
        x = _x(number * step * 3600, end_s)
        parts.append(f'<path d="M{x:.1f} {TOP + HEIGHT}v5" stroke="#999"/>')
        parts.append(_text(x, TOP + HEIGHT + 17, f"{number * step:.3g}", "middle", "#666"))
    return parts


def _curve(curve: Sequence[tuple[float, float | None]], end_s: float) -> list[str]:
    """A column for each pixel: the highest percent in it, or that it is not known."""
    columns_of: dict[int, float | None] = {}
    untils = [*(at for at, _ in curve[1:]), end_s]
    for (at, percent), until in zip(curve, untils, strict=False):
        first, last = math.floor(_x(at, end_s)), math.floor(_x(until, end_s))
        for x in range(first, min(max(first + 1, last), LEFT + WIDTH)):
            before = columns_of.get(x, 0.0)
            columns_of[x] = None if percent is None or before is None else max(before, percent)
    busy = "".join(
        f"M{x}.5 {TOP + HEIGHT}v{-HEIGHT * percent / 100:.1f}" for x, percent in columns_of.items() if percent
    )
    unknown = "".join(f"M{x}.5 {TOP}v{HEIGHT}" for x, percent in columns_of.items() if percent is None)
    return [f'<path d="{unknown}" stroke="#ccc"/>', f'<path d="{busy}" stroke="#2a7ab0"/>']


def _row(release: tuple[str, float, float | None, bool], end_s: float, y: float, paper: Paper) -> list[str]:
    name, window_s, at, false = release
    parts = [
        _text(LEFT - 6, y, name, "end"),
        f'<path d="M{LEFT} {y - 4:.1f}h{WIDTH}" stroke="#eee"/>',
        _text(LEFT + WIDTH + 6, y, paper.text(_when(at, false)), "start", "#a00" if false else "#222"),
    ]
    if at is not None:
        begin, x = _x(at - window_s, end_s), _x(at, end_s)
        colour = "#c33" if false else "#282"
        parts.append(
            f'<rect x="{begin:.1f}" y="{y - 7:.1f}" width="{x - begin:.1f}" height="6" fill="{colour}" '
            'opacity="0.35"/>'
        )
        parts.append(f'<path d="M{x:.1f} {y - 12:.1f}v16" stroke="{colour}" stroke-width="2"/>')
    return parts
