"""What is said from launch to the last word on the runtime. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from launcher import events
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.report.money import per_hour
from launcher.report.onward import indented, last_word, next_lines
from launcher.report.queue import run_of_queue
from launcher.report.verdict import refusal_screen, verdict_screen
from launcher.values import Known, format_size
from launcher.words import counted, listed, reason, spelled, within, words

if TYPE_CHECKING:
    from launcher.guard.model import Outcome, RunReport
    from launcher.record import RunRecord
    from launcher.saving.interface import Saved
    from launcher.words import Text


def say(event: events.Event, paper: Paper = ENGLISH) -> list[Line]:
    """One event as lines; an empty list where nothing needs to be said."""
    if isinstance(event, events.Judged):
        return verdict_screen(event, paper)
    if isinstance(event, events.Refused):
        return refusal_screen(event, paper)
    if isinstance(event, events.Launching):
        lines = paper.ours(words("{name} starts, run {run_id}", name=event.name, run_id=event.run_id))
        lines += [line for text in event.warnings for line in paper.ours(_warning(text))]
        return lines + [line for text in event.hints for line in paper.ours(text)]
    if isinstance(event, events.Announced):
        return paper.ours(_announced(event))
    if isinstance(event, events.Said):
        return paper.ours(_warning(event.text) if event.warning else event.text)
    if isinstance(event, events.Waiting):
        return paper.ours(event.text)
    if isinstance(event, events.SavingBegan):
        return paper.ours(words("saving {path} to {folder}", path=event.path, folder=event.to))
    if isinstance(event, events.Ended):
        return ending(event, paper)
    if isinstance(event, events.RunOfQueue):
        return [*map(Line, event.said.splitlines()), *paper.ours(run_of_queue(event))]
    if isinstance(event, events.CountingDown):
        return paper.ours(
            words(
                "releasing this runtime in {seconds}. Keep it: press stop (Ctrl-C), or touch {file}",
                seconds=spelled(event.seconds),
                file=event.hold_file,
            )
        )
    if isinstance(event, events.Retrying):
        return paper.ours(
            words(
                "release not accepted ({reason}), next try in {seconds}",
                reason=event.reason,
                seconds=spelled(event.seconds),
            )
        )
    if isinstance(event, events.Copying):
        return paper.ours(_copying(event))
    return [
        line
        for text in last_word(event.result, event.rate, lasting=event.lasting, after_s=event.after_s)
        for line in paper.ours(text)
    ]


def _copying(event: events.Copying) -> Text:
    done, total = format_size(event.done), format_size(event.total)
    rate = format_size(round(event.done / event.seconds)) if event.seconds else "-"
    if event.restoring:
        return words(
            "restoring {path}: {done} of {total}, {rate}/s",
            path=event.path,
            done=done,
            total=total,
            rate=rate,
        )
    return words(
        "saving {path}: {done} of {total}, {rate}/s", path=event.path, done=done, total=total, rate=rate
    )


def _warning(text: Text) -> Text:
    return words("warning: {text}", text=text)


def _announced(event: events.Announced) -> Text:
    """One whole sentence for each end of a hold, with and without a rate."""
    example = "outputs: [{path: RESULTS, to: /content/drive/MyDrive/RUNS}]"
    rate = None if event.rate is None else per_hour(event.rate)
    held = words(
        "no outputs are declared: files that the job leaves in its workdir will keep this runtime from being "
        "released"
    )
    hold = spelled(event.hold_s)
    if event.after_hold == "release":
        then = (
            words("{held} for {hold}; then it goes, and they with it.", held=held, hold=hold)
            if rate is None
            else words(
                "{held} for {hold}, at {rate}; then it goes, and they with it.",
                held=held,
                hold=hold,
                rate=rate,
            )
        )
    elif event.after_hold == "archive":
        then = (
            words("{held} for {hold}; then they are copied to Drive, and it goes.", held=held, hold=hold)
            if rate is None
            else words(
                "{held} for {hold}, at {rate}; then they are copied to Drive, and it goes.",
                held=held,
                hold=hold,
                rate=rate,
            )
        )
    elif rate is None:
        then = words("{held}, until the platform's own idle limit ends it.", held=held)
    else:
        then = words("{held}, at {rate}, until the platform's own idle limit ends it.", held=held, rate=rate)
    return words("{then} To avoid that: {example}", then=then, example=example)


# --- the end of the job ---------------------------------------------------------------------------


def ending(event: events.Ended, paper: Paper = ENGLISH) -> list[Line]:
    """The block at the end: how it ended and why, how long, peaks, what was saved, what happens now."""
    record, report = event.record, event.record.report
    if report is None:
        return []
    mark, tone = _mark(record)
    head = paper.headed(paper.text(mark), _how(record, report), tone)
    rest = [*_figures(record, report), *map(saved_line, record.saved)]
    log = record.log_saved_to or record.log
    if log:
        rest.append(words("log: {path}", path=log))
    rest += _gpu_left(record)
    if report.of_gpu and report.out_of_memory:
        example = "retry: {max_restarts: 2, on: [oom], env_on_oom: {BATCH_SIZE: [16, 8]}}"
        rest.append(words("to start it again with less: {example}", example=example))
    if report.log_bytes_lost:
        rest.append(words("{size} of output are not in the log", size=format_size(report.log_bytes_lost)))
    return [Line(""), *head, *indented(rest, paper), *next_lines(event, paper)]


def _gpu_left(record: RunRecord) -> list[Text]:
    """Who still holds memory of a GPU, one line for each."""
    if not isinstance(record.gpu_left, Known):
        return []
    lines: list[Text] = []
    for row in record.gpu_left.value:
        command = row.command.value if isinstance(row.command, Known) else "?"
        size = format_size(row.memory_bytes.value) if isinstance(row.memory_bytes, Known) else "?"
        lines.append(
            words(
                "GPU memory is still held: process {pid} ({command}), {size}",
                pid=row.pid,
                command=command,
                size=size,
            )
        )
    return lines


def _mark(record: RunRecord) -> tuple[Text, Tone]:
    if record.exit_code == 0:
        return within("end of a run", "OK"), Tone.GOOD
    if record.outcome == "interrupted":
        return within("end of a run", "STOP"), Tone.CAREFUL  # Somebody wanted it: no failure.
    return within("end of a run", "FAIL"), Tone.BAD


def _how(record: RunRecord, report: RunReport) -> Text:
    said = _came_out(record.job, report.outcome)
    if report.out_of_memory:
        said = words("{said}; out of memory: {evidence}", said=said, evidence=report.out_of_memory)
    if record.exit_code == 74:
        said = words("{said}, but its outputs could not be saved", said=said)
    return words("{said} (exit code {code})", said=said, code=record.exit_code)


def _came_out(name: str, outcome: Outcome) -> Text:
    """Subject and verb, by the way it ended."""
    if outcome.name == "succeeded":
        return words("{name} succeeded", name=name)
    if outcome.name == "setup_failed":
        return words("{name} did not start, because its setup failed", name=name)
    if outcome.name == "could_not_start":
        return words("{name} could not start: {why}", name=name, why=getattr(outcome, "why", ""))
    if outcome.name == "refused":
        return words("{name} was not started", name=name)
    if outcome.name == "over_limit":
        limit = spelled(round(getattr(outcome, "limit_s", 0.0), 1))
        if getattr(outcome, "limit", "") == "budget":
            return words("{name} was stopped: its budget ({limit} here) is used up", name=name, limit=limit)
        return words("{name} was stopped: max_duration of {limit} is over", name=name, limit=limit)
    if outcome.name == "stalled":
        silent = spelled(round(getattr(outcome, "silent_s", 0.0)))
        return words("{name} was stopped: it showed no sign of life for {time}", name=name, time=silent)
    if outcome.name == "interrupted":
        return words("{name} was stopped by a person", name=name)
    if outcome.name == "signalled":
        return words("{name} was ended by {signal}", name=name, signal=_signal_name(outcome))
    return words("{name} failed", name=name)


def _signal_name(outcome: Outcome) -> Text:
    number = getattr(outcome, "signal", 0)
    try:
        return signal.Signals(number).name
    except ValueError:
        return words("signal {number}", number=number)


def _figures(record: RunRecord, report: RunReport) -> list[Text]:
    figures = [spelled(report.duration_s)]
    if isinstance(record.compute_units, Known):
        figures.append(words("about {units} units", units=f"{record.compute_units.value:.2f}"))
    if isinstance(report.peak_ram_bytes, Known):
        figures.append(words("peak RAM {size}", size=format_size(report.peak_ram_bytes.value)))
    if isinstance(report.peak_gpu_bytes, Known):
        figures.append(words("peak GPU memory {size}", size=format_size(report.peak_gpu_bytes.value)))
    lines = [listed(figures)]
    if report.leftovers_stopped:
        lines.append(
            counted(
                "{count} process that it left behind was stopped",
                "{count} processes that it left behind were stopped",
                report.leftovers_stopped,
            )
        )
    return lines


def saved_line(saved: Saved) -> Text:
    """One row of what was saved, or what was not."""
    if saved.missing:
        return words("NOT saved: {path} does not exist", path=saved.path)
    if saved.verified == "exit-code" and saved.complete:
        # Nobody looked at what lies there now: the command's word is all that there is.
        return words("{path} was taken by the command (exit code 0; not verified)", path=saved.path)
    kept = words(
        "saved and verified: {files}, {size} in {folder}",
        files=_files(len(saved.files)),
        size=format_size(saved.size),
        folder=saved.to,
    )
    if saved.complete:
        return kept
    if saved.unsettled and not saved.failures:
        waiting = counted(
            "{count} thing in {path} is still being written, and was left out",
            "{count} things in {path} are still being written, and were left out",
            len(saved.unsettled),
            path=saved.path,
        )
        return words("{first}; {second}", first=kept, second=waiting)
    path, why = saved.failures[0]
    more = len(saved.failures) - 1
    which: Text = path
    if more:
        which = counted("{path} and {count} more", "{path} and {count} more", more, path=path)
    why = reason(why) if isinstance(why, str) else why
    lost = words("NOT saved: {path}: {why}", path=which, why=why)
    return words("{first}; {second}", first=lost, second=kept) if saved.files else lost


def _files(count: int) -> Text:
    return counted("{count} file", "{count} files", count)
