"""`watch --replay FILE`: what each policy would have released when, from what a file has recorded."""

from __future__ import annotations

import codecs
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import ColabRunError, ExitCode, UsageError
from launcher.idle.model import WORK, Policy, Sign
from launcher.idle.recording import ADVICE, read
from launcher.idle.replay import (
    HOUR_S,
    NAMES,
    RUNTIME,
    STALLED,
    THEIR_WINDOWS,
    Judged,
    Rule,
    Score,
    Watched,
    judge,
    rules,
    total,
)
from launcher.idle.replay_peers import DSTACK_LONGEST_S, DSTACK_SHORTEST_S, highest
from launcher.idle.replay_session import BadRecording
from launcher.idle.vigil import Vigil
from launcher.record import SCHEMA_VERSION
from launcher.values import format_size
from launcher.words import reason, spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launcher.idle.interface import Signal
    from launcher.idle.model import Sample
    from launcher.idle.recording import Begin, Header
    from launcher.idle.replay_session import Recording, Session
    from launcher.words import Text

WINDOW_S = 1800.0
# Of a file with more sessions only the sums are given.
SESSIONS_SHOWN = 20
CHUNK = 1 << 16
# Many times the longest line that is known, and what says nothing.
LONGEST_LINE, BLANK = 1_000_000, " \t\r\n\0\ufeff"
GZIP = b"\x1f\x8b"
WITH_HEADER = 16 + zlib.MAX_WBITS
MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class RecordingError(ColabRunError):
    """A recording of which nothing can be replayed."""

    exit_code = ExitCode.JOB_FILE


@dataclass(frozen=True, slots=True)
class Replayed:
    """One policy with its sums over all sessions, and each session's release.

    `better`: than colab-run with the same window, on both axes.
    """

    score: Score
    judged: tuple[Judged, ...]
    better: bool

    def as_json(self) -> dict[str, Any]:
        """One element of `policies`; `releases` only where there are few sessions."""
        score = self.score
        shown = self.judged if len(self.judged) <= SESSIONS_SHOWN else ()
        return {
            "policy": score.name,
            "window_s": score.window_s,
            "released": score.releases,
            "false": score.false,
            "unproven": score.unproven,
            "recovered_percent": round(score.recovered_percent, 2),
            "unused_percent": round(score.unused_percent, 2),
            "false_per_100h": round(score.false_per_100h, 3),
            "lost_gpu_hours": round(score.lost_s / HOUR_S, 2),
            "better_than_ours": self.better,
            "releases": [{"at_s": one.release, "false": one.false} for one in shown],
        }


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What was replayed. `curve` is the first session: (seconds, percent of its busiest GPU or None)."""

    path: str
    kind: str
    sessions: int
    hours: float
    rows: tuple[Replayed, ...]
    remarks: tuple[Text, ...]
    curve: tuple[tuple[float, float | None], ...]
    end_s: float

    @property
    def releases(self) -> tuple[tuple[str, float, float | None, bool], ...]:
        """(policy, window, when in the first session or None, false?)."""
        return tuple(
            (row.score.name, row.score.window_s, row.judged[0].release, row.judged[0].false)
            for row in self.rows
        )

    def as_json(self) -> dict[str, Any]:
        """`watch --replay FILE --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "file": self.path,
            "kind": self.kind,
            "sessions": self.sessions,
            "hours": round(self.hours, 2),
            "policies": [row.as_json() for row in self.rows],
            "remarks": [str(remark) for remark in self.remarks],
        }


def replay_file(
    path: str, *, window_s: float | None = None, policies: Sequence[str] = (), above: float = 0.0
) -> ReplayResult:
    """Replay these policies (all, without any) on what the file holds.

    Without a window ours has 30 minutes, and each of the others the one that it comes with. GPU work is
    more than `above` percent. Raises UsageError for an unknown policy, a window that a named policy cannot
    have, or a file that cannot be read, RecordingError for a file of which nothing can be replayed.
    """
    chosen = chosen_rules(window_s, policies, above)
    watches = _Watches([rule for rule in chosen if rule.name in (STALLED, RUNTIME)])
    recording = _recording(path, watches.begin)
    rows = []
    for rule in chosen:
        judged = watches.judged(rule, recording.sessions, above) or tuple(
            judge(session, rule.released(session), above) for session in recording.sessions
        )
        rows.append((rule, judged, _score(rule, recording.sessions, judged, above)))
    own = {rule.window_s: score for rule, _, score in rows if rule.name == STALLED}
    first = recording.sessions[0]
    return ReplayResult(
        path,
        recording.kind,
        len(recording.sessions),
        sum(session.end for session in recording.sessions) / HOUR_S,
        tuple(
            Replayed(score, judged, rule.window_s in own and score.beats(own[rule.window_s]))
            for rule, judged, score in rows
        ),
        recording.remarks,
        tuple((tick.at, highest(tick)) for tick in first.ticks),
        first.end,
    )


def sessions_of(path: str) -> tuple[Session, ...]:
    """What the file holds. Raises UsageError and RecordingError as `replay_file`."""
    return _recording(path, None).sessions


def _recording(path: str, begin: Begin | None) -> Recording:
    try:
        return read(_lines(path), path.rpartition("/")[2], begin)
    except BadRecording as bad:
        raise RecordingError(words("{path}: {why}", path=path, why=bad.said), bad.advised) from bad
    except OSError as error:
        raise UsageError(
            words("{path} cannot be read: {why}", path=path, why=reason(error.strerror or str(error))),
            words("give the path of a recording"),
        ) from error


def _score(rule: Rule, sessions: Sequence[Session], judged: Sequence[Judged], above: float) -> Score:
    return total(rule.name, rule.window_s, zip(sessions, judged, strict=True), above)


def chosen_rules(window_s: float | None, policies: Sequence[str], above: float) -> list[Rule]:
    """The rules of these names, in the order of the table. Raises UsageError."""
    unknown = [name for name in policies if name not in NAMES]
    if unknown:
        raise UsageError(
            words("there is no policy {name}", name=unknown[0]),
            words("use one of: {known}", known=", ".join(NAMES)),
        )
    if window_s is not None and "dstack" in policies and not _dstack_can(window_s):
        raise UsageError(
            words("dstack has no window of {window}", window=spelled(window_s)),
            words(
                "give it one of {least} to {most}",
                least=spelled(DSTACK_SHORTEST_S),
                most=spelled(DSTACK_LONGEST_S),
            ),
        )
    return [
        rule
        for name in NAMES
        if not policies or name in policies
        for rule in rules(_window(name, window_s), above)
        if rule.name == name
    ]


def _dstack_can(window_s: float) -> bool:
    return DSTACK_SHORTEST_S <= window_s <= DSTACK_LONGEST_S


def _window(name: str, window_s: float | None) -> float:
    return THEIR_WINDOWS.get(name, WINDOW_S) if window_s is None else window_s


# --- recordings of ours ---------------------------------------------------------------------------


class _Watches:
    """Our policies over recordings of ours: with all signs that were recorded, by the signals themselves."""

    def __init__(self, chosen: Sequence[Rule]) -> None:
        self._rules = chosen
        self._watched: dict[str, list[Watched]] = {rule.name: [] for rule in chosen}

    def begin(self, header: Header, first: Sample) -> Callable[[Sample], object]:
        """What takes the samples of one more session."""
        watched = {}
        for rule in self._rules:
            job = rule.name == STALLED
            signs = [sign for sign in first.readings if not job or sign in WORK]
            policy = Policy(rule.window_s, header.period_s, armed_by=WORK if job else frozenset(), adapts=job)
            watched[rule.name] = Watched(Vigil(policy, signals_of(signs, header.period_s)))
            self._watched[rule.name].append(watched[rule.name])

        def take(sample: Sample) -> None:
            for one in watched.values():
                one.take(sample)

        return take

    def judged(self, rule: Rule, sessions: Sequence[Session], above: float) -> tuple[Judged, ...]:
        """Nothing where this rule has watched no session."""
        watched = self._watched.get(rule.name) or ()
        return tuple(
            judge(session, one.released, above, again=one.alive_again)
            for session, one in zip(sessions, watched, strict=False)
        )


def signals_of(signs: Sequence[Sign], period_s: float) -> list[Signal]:
    """A new signal for each of them."""
    from launcher.idle.signals import cpu, files, gpu, kernels, marks, output, terminals, traffic

    makers: dict[Sign, Callable[[], Signal]] = {
        Sign.GPU: lambda: gpu.GpuSignal(period_s),
        Sign.CPU: lambda: cpu.CpuSignal(period_s),
        Sign.DISK: lambda: traffic.DiskSignal(period_s),
        Sign.NETWORK: lambda: traffic.NetworkSignal(period_s),
        Sign.OUTPUT: output.OutputSignal,
        Sign.FILES: files.FilesSignal,
        Sign.KERNELS: kernels.KernelsSignal,
        Sign.TERMINALS: terminals.TerminalsSignal,
        Sign.BEAT: marks.BeatSignal,
        Sign.KEEP: marks.KeepSignal,
        Sign.RUNS: marks.RunsSignal,
    }
    return [makers[sign]() for sign in signs]


# --- the file -------------------------------------------------------------------------------------


def _lines(path: str) -> Iterator[str]:
    """Lines with their ends, of text or gzip; one that is cut off is given as far as it goes.

    Raises BadRecording where a line is longer than any of a recording, or where nothing is said for so long.
    """
    decoder, number = None, 1
    parts: list[str] = []
    # What came since the last line that said something.
    length = 0
    for chunk in _unpacked(path):
        if decoder is None:
            # PowerShell writes what a command prints as UTF-16.
            name = next((name for mark, name in MARKS.items() if chunk.startswith(mark)), "utf-8")
            decoder = codecs.getincrementaldecoder(name)("replace")
        *lines, rest = decoder.decode(chunk).split("\n")
        for line in lines:
            whole = "".join((*parts, line, "\n"))
            parts, number = [], number + 1
            length = 0 if whole.strip(BLANK) else length + len(whole)
            yield whole
        parts.append(rest)
        length += len(rest)
        if length > LONGEST_LINE:
            raise BadRecording(
                number,
                words("more than {size} here are no line of a recording", size=format_size(LONGEST_LINE)),
                ADVICE,
            )
    if any(parts):
        yield "".join(parts)


def _unpacked(path: str) -> Iterator[bytes]:
    """Never more at once than CHUNK, however well it was packed."""
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        unpack = zlib.decompressobj(WITH_HEADER)
        while chunk := file.read(CHUNK):
            while packed and chunk:
                try:
                    yield unpack.decompress(chunk, CHUNK)
                except zlib.error:
                    return  # Damaged: what came before is read, and its last line is cut off.
                chunk = unpack.unconsumed_tail or unpack.unused_data
                if unpack.eof:
                    unpack = zlib.decompressobj(WITH_HEADER)
            if chunk:
                yield chunk
        # A few bytes that did not fit into the last piece.
        if packed and (rest := unpack.flush()):
            yield rest
