"""What becomes of the runtime at the end of a run, and what to do about it. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.report.money import keeps_costing, until_then
from launcher.values import format_size
from launcher.words import counted, listed, spelled, words

if TYPE_CHECKING:
    from launcher import events
    from launcher.record import HourlyRate
    from launcher.report.lines import Line, Paper
    from launcher.saving.interface import Unsaved
    from launcher.words import Text

# A guard waits until these are over, then releases after all.
PASSING = ("keep", "hold-file", "another-run", "lost-run", "kernel-busy")


def indented(texts: list[Text], paper: Paper) -> list[Line]:
    """Below the first line of a block."""
    return [line for text in texts for line in paper.wrapped(text, "  ", "    ")]


def next_lines(event: events.Ended, paper: Paper) -> list[Line]:
    """What happens now, in the block of the end."""
    result, record = event.next_release, event.record
    if result is None:
        return []
    if result.waits_for_idle:
        return [*indented(_waits(result, record.rate, event.after_s), paper), *_only_here(event, paper)]
    if result.status is ReleaseStatus.HELD and record.unsaved is not None:
        unsaved = record.unsaved
        head = counted(
            "NOT released: {count} file, {size}, exists only here:",
            "NOT released: {count} files, {size}, exist only here:",
            unsaved.count,
            size=format_size(unsaved.size),
        )
        return [*_names_of(unsaved, head, paper), *indented(_ways_on_held(event), paper)]
    if result.status is ReleaseStatus.HELD:
        lost = words("NOT released: {why}", why=result.detail)
        return indented([lost, *_ways_on_held(event)], paper)
    return indented(last_word(result, record.rate, managed=record.managed), paper)


def _names_of(unsaved: Unsaved, head: Text, paper: Paper) -> list[Line]:
    shown: list[Text] = [f"{path} ({format_size(size)})" for path, size in unsaved.largest]
    if unsaved.count > len(unsaved.largest):
        shown.append("…")
    return [*paper.wrapped(head, "  ", "    "), *paper.wrapped(listed(shown), "    ")]


def _waits(result: ReleaseResult, rate: HourlyRate | None, after_s: float) -> list[Text]:
    """The release comes once the runtime is idle."""
    after = spelled(after_s)
    if result.reason == "idle":
        when = words("this runtime is released once nothing has shown life for {time}", time=after)
    else:
        when = words(
            "not released now: {why}; it goes once nothing has shown life for {time}",
            why=result.detail,
            time=after,
        )
    now = words("to release it now: {command}", command="colab-run release")
    until = keeps_costing(rate) if rate is None else until_then(rate)
    return [when, until, now]


def _only_here(event: events.Ended, paper: Paper) -> list[Line]:
    """What will hold that release for a while."""
    unsaved = event.record.unsaved
    if unsaved is None:
        return []
    hold = spelled(event.hold_s)
    size = format_size(unsaved.size)
    if event.after_hold == "stay":
        head = counted(
            "{count} file, {size}, exists only here and keeps it from going:",
            "{count} files, {size}, exist only here and keep it from going:",
            unsaved.count,
            size=size,
        )
    else:
        head = counted(
            "{count} file, {size}, exists only here and keeps it from going for {time}:",
            "{count} files, {size}, exist only here and keep it from going for {time}:",
            unsaved.count,
            size=size,
            time=hold,
        )
    copy = words("to save it now: {command}", command=f"colab-run save {event.record.run_id} --to FOLDER")
    return [*_names_of(unsaved, head, paper), *indented([copy], paper)]


def _ways_on_held(event: events.Ended) -> list[Text]:
    """What a hold comes to, and when; what it costs until then; and the person's own way out."""
    record = event.record
    copy = words("to save it now: {command}", command=f"colab-run save {record.run_id} --to FOLDER")
    if event.after_hold == "archive":
        then = words(
            "in {time} it is copied to Drive, then this runtime is released", time=spelled(event.hold_s)
        )
        return [then, *([until_then(record.rate)] if record.rate else []), copy]
    if event.after_hold != "release":
        discard = words("to give it up: {command}", command="colab-run release --discard")
        stays = words("it stays until the platform's own idle limit")
        return [keeps_costing(record.rate), stays, copy, discard]
    hold_file = os.path.join(os.path.dirname(record.log or ""), "HOLD")
    then = words(
        "in {time} it is released all the same, and its files go with it; to keep it, make this file:",
        time=spelled(event.hold_s),
    )
    return [then, f"  {hold_file}", *([until_then(record.rate)] if record.rate else []), copy]


def last_word(
    result: ReleaseResult,
    rate: HourlyRate | None,
    *,
    managed: bool = True,
    lasting: bool = True,
    after_s: float = 0.0,
) -> list[Text]:
    """The last word on the runtime, and what it costs when it stays."""
    status = result.status
    if result.waits_for_idle:
        return _waits(result, rate, after_s)
    if status is ReleaseStatus.ACCEPTED:
        return [words("release accepted: this runtime goes away within a minute or so")]
    if status is ReleaseStatus.NOT_MANAGED:
        return [words("not released: {why}", why=result.detail)]
    if status is ReleaseStatus.NOT_ASKED:
        return _ways_on(rate) if managed else []
    if status is ReleaseStatus.FAILED:
        loud: Text = words("NOT released: {why} ({reason})", why=result.detail, reason=result.reason)
        return [loud, *_ways_on(rate)]
    if status is ReleaseStatus.HELD and result.reason in PASSING and not lasting:
        again = words("when that is over, again: {command}", command="colab-run release")
        return [words("NOT released: {why}", why=result.detail), keeps_costing(rate), again]
    if status is ReleaseStatus.HELD and result.reason == "drive-not-flushed":
        anyway = words("to release it all the same: {command}", command="colab-run release --discard")
        return [words("NOT released: {why}", why=result.detail), keeps_costing(rate), anyway]
    if status is ReleaseStatus.HELD and result.reason in PASSING:
        waits = words("it goes as soon as that is over; see {command}", command="colab-run ps")
        return [words("NOT released yet: {why}", why=result.detail), keeps_costing(rate), waits]
    if status is ReleaseStatus.HELD:
        return [words("NOT released: {why}", why=result.detail), *_ways_on(rate, held=True)]
    return [words("not released: {why}", why=result.detail), *_ways_on(rate)]


def _ways_on(rate: HourlyRate | None, *, held: bool = False) -> list[Text]:
    """Rule 5: never silent about a runtime that stays."""
    way = (
        words("copy what you need to Drive, then: {command}", command="colab-run release --discard")
        if held
        else words("to release it: {command}", command="colab-run release")
    )
    return [keeps_costing(rate), way]
