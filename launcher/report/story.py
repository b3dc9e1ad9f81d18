"""What is said from launch to the last word on the runtime. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from launcher import events
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.report.lines import Line, Tone, headed, ours, wrapped
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
    return [line for text in _words(event.result, event.rate) for line in ours(text)]


def _announced(event: events.Announced) -> list[Line]:
    cost = "" if event.rate is None else f", at {per_hour(event.rate)}"
    then = {
        "release": f" for {format_duration(event.hold_s)}{cost}; then it goes, and they with it",
        "stay": f"{cost}, until the platform's own idle limit ends it",
    }
    return ours(
        "no outputs are declared: files that the job leaves in its workdir will keep this runtime from "
        f"being released{then[event.after_hold]}. To avoid that: "
        "outputs: [{path: RESULTS, to: /content/drive/MyDrive/RUNS}]"
    )


# --- the end of the job ---------------------------------------------------------------------------


def ending(event: events.Ended) -> list[Line]:
    """The block at the end: how it ended and why, how long, peaks, what was saved, what happens now."""
    record, report = event.record, event.record.report
    if report is None:
        return []
    mark, tone = _mark(record)
    lines = [Line(""), *headed(mark, _how(record, report), tone), *_figures(record, report)]
    lines += [line for saved in record.saved for line in _saved(saved)]
    log = record.log_saved_to or record.log
    if log:
        lines += wrapped(f"log: {log}", "  ", "    ")
    if report.log_bytes_lost:
        lines += wrapped(f"{format_size(report.log_bytes_lost)} of output are not in the log", "  ", "    ")
    return lines + _next(event)


def _mark(record: RunRecord) -> tuple[str, Tone]:
    if record.exit_code == 0:
        return "OK", Tone.GOOD
    if record.outcome == "interrupted":
        return "STOP", Tone.CAREFUL  # Somebody wanted it: no failure.
    return "FAIL", Tone.BAD


def _how(record: RunRecord, report: RunReport) -> str:
    outcome, name = report.outcome, record.job
    limit = format_duration(getattr(outcome, "limit_s", 0.0))
    said = {
        "succeeded": "succeeded",
        "failed": "failed",
        "setup_failed": "did not start, because its setup failed",
        "could_not_start": f"could not start: {getattr(outcome, 'why', '')}",
        "over_limit": f"was stopped: max_duration of {limit} is over",
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
    lines = wrapped(", ".join(figures), "  ", "    ")
    count = report.leftovers_stopped
    if count:
        were = "process that it left behind was" if count == 1 else "processes that it left behind were"
        lines += wrapped(f"{count} {were} stopped", "  ", "    ")
    return lines


def _saved(saved: Saved) -> list[Line]:
    if saved.missing:
        return wrapped(f"NOT saved: {saved.path} does not exist", "  ", "    ")
    files = f"{_files(len(saved.files))}, {format_size(saved.size)}"
    if saved.complete:
        return wrapped(f"saved and verified: {files} in {saved.to}", "  ", "    ")
    path, why = saved.failures[0]
    others = f" and {len(saved.failures) - 1} more" if len(saved.failures) > 1 else ""
    rest = f"; saved and verified: {files} in {saved.to}" if saved.files else ""
    return wrapped(f"NOT saved: {path}{others}: {why}{rest}", "  ", "    ")


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


# --- the runtime ----------------------------------------------------------------------------------


def _next(event: events.Ended) -> list[Line]:
    """What happens now, in the block of the end."""
    result, record = event.next_release, event.record
    if result is None:
        return []
    if result.status is ReleaseStatus.HELD and record.unsaved is not None:
        unsaved = record.unsaved
        exist = "exists" if unsaved.count == 1 else "exist"
        shown = ", ".join(f"{path} ({format_size(size)})" for path, size in unsaved.largest)
        more = "" if unsaved.count <= len(unsaved.largest) else ", …"
        head = f"NOT released: {_files(unsaved.count)}, {format_size(unsaved.size)}, {exist} only here:"
        return [
            *wrapped(head, "  ", "    "),
            *wrapped(shown + more, "    "),
            *_indented(_ways_on(record.rate, held=True)),
        ]
    return _indented(_words(result, record.rate, managed=record.managed))


def _indented(texts: list[str]) -> list[Line]:
    return [line for text in texts for line in wrapped(text, "  ", "    ")]


def _words(result: ReleaseResult, rate: HourlyRate | None, *, managed: bool = True) -> list[str]:
    """The last word on the runtime, and what it costs when it stays."""
    status = result.status
    if status is ReleaseStatus.ACCEPTED:
        return ["release accepted: this runtime goes away within a minute or so"]
    if status is ReleaseStatus.NOT_MANAGED:
        return [f"not released: {result.detail}"]
    if status is ReleaseStatus.NOT_ASKED:
        return _ways_on(rate) if managed else []
    detail = f"{result.detail} ({result.reason})" if status is ReleaseStatus.FAILED else result.detail
    held = status is ReleaseStatus.HELD
    word = "NOT released" if held or status is ReleaseStatus.FAILED else "not released"
    return [f"{word}: {detail}", *_ways_on(rate, held=held)]


def _ways_on(rate: HourlyRate | None, *, held: bool = False) -> list[str]:
    """Rule 5: never silent about a runtime that stays."""
    way = (
        "copy what you need to Drive, then: colab-run release --discard"
        if held
        else "to release it: colab-run release"
    )
    return [f"this runtime stays, {keeps_costing(rate)}", way]
