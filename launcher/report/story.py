"""What is said from launch to the last word on the runtime. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from launcher import events
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.report.lines import Line, Tone, ours, wrapped
from launcher.report.money import keeps_costing, per_hour
from launcher.report.verdict import refusal_screen, verdict_screen
from launcher.values import Known, format_duration, format_size

if TYPE_CHECKING:
    from launcher.guard.model import RunReport
    from launcher.record import HourlyRate, RunRecord
    from launcher.saving.interface import Saved


def say(event: events.Event) -> list[Line]:
    """One event as lines; an empty list where nothing needs to be said."""
    if isinstance(event, events.Judged):
        return verdict_screen(event)
    if isinstance(event, events.Refused):
        return refusal_screen(event)
    if isinstance(event, events.Launching):
        lines = ours(f"{event.name} starts, run {event.run_id}")
        return lines + [line for text in event.warnings for line in ours(f"warning: {text}")]
    if isinstance(event, events.Announced):
        return _announced(event)
    if isinstance(event, events.Said):
        return ours(f"warning: {event.text}" if event.warning else event.text)
    if isinstance(event, events.SavingBegan):
        return ours(f"saving {event.path} to {event.to}")
    if isinstance(event, events.Ended):
        return ending(event)
    if isinstance(event, events.CountingDown):
        return ours(
            f"releasing this runtime in {format_duration(event.seconds)}. Keep it: press stop (Ctrl-C), "
            f"or touch {event.hold_file}"
        )
    if isinstance(event, events.Retrying):
        return ours(f"release not accepted ({event.reason}), next try in {format_duration(event.seconds)}")
    return release_lines(event.result, event.rate)


def _announced(event: events.Announced) -> list[Line]:
    cost = "" if event.rate is None else f", at {per_hour(event.rate)}"
    then = {"release": "then released anyway", "stay": "then left to the platform's own idle limit"}
    return ours(
        f"no outputs are declared: files that the job leaves in its workdir will hold the release for "
        f"{format_duration(event.hold_s)}{cost}, {then[event.after_hold]}. To avoid that: "
        "outputs: [{path: RESULTS, to: /content/drive/MyDrive/RUNS}]"
    )


def ending(event: events.Ended) -> list[Line]:
    """The block at the end: how it ended and why, how long, peaks, what was saved, what happens now."""
    record, report = event.record, event.record.report
    if report is None:
        return []
    good = record.exit_code == 0
    head = Line(f" {_how(record, report)}", "OK" if good else "FAIL", Tone.GOOD if good else Tone.BAD)
    lines = [Line(""), head, *_figures(record, report)]
    lines += [line for saved in record.saved for line in _saved(saved)]
    if record.log_saved_to:
        lines += wrapped(f"log: {record.log_saved_to}", "  ", "    ")
    elif record.log:
        lines += wrapped(f"log: {record.log}", "  ", "    ")
    if report.log_bytes_lost:
        lines += wrapped(f"{format_size(report.log_bytes_lost)} of output are not in the log", "  ")
    return lines + _next(event)


def _how(record: RunRecord, report: RunReport) -> str:
    outcome, name = report.outcome, record.job
    said = {
        "succeeded": "succeeded",
        "failed": f"failed with exit code {outcome.exit_code}",
        "setup_failed": f"did not start: setup failed with exit code {outcome.exit_code}",
        "could_not_start": f"could not start: {getattr(outcome, 'why', '')}",
        "over_limit": "was stopped: max_duration "
        f"({format_duration(getattr(outcome, 'limit_s', 0.0))}) is over",
        "interrupted": "was stopped by a person",
        "signalled": f"was ended by {_signal_name(getattr(outcome, 'signal', 0))}",
    }[outcome.name]
    why = f"; out of memory: {report.out_of_memory}" if report.out_of_memory else ""
    unsaved = ", but its outputs could not be saved" if record.exit_code == 74 else ""
    return f"{name} {said}{why}{unsaved} (exit code {record.exit_code})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _figures(record: RunRecord, report: RunReport) -> list[Line]:
    figures = [format_duration(report.duration_s)]
    if isinstance(record.compute_units, Known):
        figures.append(f"about {record.compute_units.value:.2f} units")
    if isinstance(report.peak_ram_bytes, Known):
        figures.append(f"peak RAM {format_size(report.peak_ram_bytes.value)}")
    if isinstance(report.peak_gpu_bytes, Known):
        figures.append(f"peak GPU memory {format_size(report.peak_gpu_bytes.value)}")
    lines = wrapped(", ".join(figures), "  ")
    if report.leftovers_stopped:
        count = report.leftovers_stopped
        lines += wrapped(
            f"{count} process{'' if count == 1 else 'es'} that it left behind were stopped", "  "
        )
    return lines


def _saved(saved: Saved) -> list[Line]:
    if saved.missing:
        return wrapped(f"NOT saved: {saved.path} does not exist", "  ", "    ")
    files = f"{len(saved.files)} file{'' if len(saved.files) == 1 else 's'}, {format_size(saved.size)}"
    if saved.complete:
        return wrapped(f"saved and verified: {files} in {saved.to}", "  ", "    ")
    path, why = saved.failures[0]
    others = f" and {len(saved.failures) - 1} more" if len(saved.failures) > 1 else ""
    return wrapped(f"NOT saved: {path}: {why}{others} ({files} are in {saved.to})", "  ", "    ")


def _next(event: events.Ended) -> list[Line]:
    """What happens now."""
    result, record = event.next_release, event.record
    if result is None:
        return []
    if result.status is ReleaseStatus.HELD and record.unsaved is not None:
        unsaved = record.unsaved
        shown = ", ".join(f"{path} ({format_size(size)})" for path, size in unsaved.largest)
        more = "" if unsaved.count <= len(unsaved.largest) else ", …"
        count = f"{unsaved.count} file{'' if unsaved.count == 1 else 's'}"
        return [
            *wrapped(
                f"NOT released: {count}, {format_size(unsaved.size)}, exist only here: {shown}{more}",
                "  ",
                "    ",
            ),
            *_ways_on(record.rate, " --discard"),
        ]
    return release_lines(result, record.rate, managed=record.managed)


def release_lines(result: ReleaseResult, rate: HourlyRate | None, *, managed: bool = True) -> list[Line]:
    """The last word on the runtime, and what it costs when it stays."""
    status = result.status
    if status is ReleaseStatus.ACCEPTED:
        return ours("release accepted: this runtime goes away within a minute or so")
    if status is ReleaseStatus.NOT_MANAGED:
        return wrapped(f"not released: {result.detail}", "  ", "    ")
    if status is ReleaseStatus.NOT_ASKED:
        return _ways_on(rate) if managed else []
    detail = f"{result.detail} ({result.reason})" if status is ReleaseStatus.FAILED else result.detail
    word = "NOT released" if status in (ReleaseStatus.HELD, ReleaseStatus.FAILED) else "not released"
    discard = " --discard" if status is ReleaseStatus.HELD else ""
    return [*wrapped(f"{word}: {detail}", "  ", "    "), *_ways_on(rate, discard)]


def _ways_on(rate: HourlyRate | None, option: str = "") -> list[Line]:
    """Rule 5: never silent about a runtime that stays."""
    what = "copy them away, then release it" if option else "release it"
    return wrapped(
        f"this runtime stays; {keeps_costing(rate)}. To {what}: colab-run release{option}", "  ", "    "
    )
