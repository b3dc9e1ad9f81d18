"""Leases and runs of this machine, a watch, and whether the runtime can be handed back. Changes nothing."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from launcher.doctoring.model import Row, absent, bad, good, unsure
from launcher.release import marks
from launcher.release.backends import Surroundings, backend_of
from launcher.words import counted, listed, reason, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.doctoring.around import Around
    from launcher.release.marks import RunNote
    from launcher.words import Text

LEASES, RUNS, WATCH, RELEASE = "leases", "runs", "watch", "release"


# --- the folder where all runs meet ---------------------------------------------------------------------


class Meeting(NamedTuple):
    """The folder of the leases; `why` it cannot be used, or empty. `made`: it is there."""

    path: str
    made: bool
    why: str = ""


def lease_rows(around: Around) -> list[Row]:
    """The folder where all runs of this machine meet. It is not made for a look."""
    return [judge_leases(_meeting(around.leases))]


def _meeting(folder: str) -> Meeting:
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        parent = os.path.dirname(folder)
        return Meeting(folder, False, "" if os.access(parent, os.W_OK | os.X_OK) else "Permission denied")
    except OSError as error:
        return Meeting(folder, False, error.strerror or "")
    if not stat.S_ISDIR(status.st_mode):
        return Meeting(folder, True, "Not a directory")
    usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    return Meeting(folder, True, "" if usable else "Permission denied")


def judge_leases(meeting: Meeting) -> Row:
    """Without it no run starts, and no release is safe."""
    if meeting.why:
        told = words(
            "the lease folder {folder} cannot be used: {why}", folder=meeting.path, why=reason(meeting.why)
        )
        return bad(
            LEASES,
            told,
            words("make it writable for all users: mkdir -m 1777 -p {folder}", folder=meeting.path),
        )
    if not meeting.made:
        return good(LEASES, words("{folder} is not there yet, and can be made", folder=meeting.path))
    return good(LEASES, words("{folder} can be used", folder=meeting.path))


# --- runs and watches -----------------------------------------------------------------------------------


def run_rows(around: Around) -> list[Row]:
    """By the notes beside the leases; a guard is known by the lock that it holds."""
    return judge_runs(marks.runs(around.leases, tidy=False), os.geteuid())


def judge_runs(runs: Sequence[tuple[RunNote, bool]], uid: int) -> list[Row]:
    """A run that nobody guards costs money for nothing, and its results are in danger."""
    lost = [note for note, guarded in runs if not guarded]
    ours = [note for note in lost if uid in (0, note.uid)]
    jobs = [note for note, guarded in runs if guarded and not note.watch]
    watches = [note for note, guarded in runs if guarded and note.watch]
    row = good(RUNS, words("none at work, none without a guard"))
    if ours:
        told = words("without a guard: {runs}", runs=listed(note.run_id for note in ours))
        row = bad(RUNS, told, words("bring it to its end: {command}", command="colab-run ps"))
    elif lost:
        told = words("without a guard, of another user: {runs}", runs=listed(note.run_id for note in lost))
        row = unsure(RUNS, told, words("ask that user to call {command}", command="colab-run ps"))
    elif jobs:
        told = counted(
            "{count} run is guarded: {runs}",
            "{count} runs are guarded: {runs}",
            len(jobs),
            runs=listed(note.run_id for note in jobs),
        )
        row = good(RUNS, told)
    watch = absent(WATCH, words("none"))
    if watches:
        watch = good(WATCH, words("at work: {runs}", runs=listed(note.run_id for note in watches)))
    return [row, watch]


# --- release --------------------------------------------------------------------------------------------


def release_rows(around: Around) -> list[Row]:
    """What would hand this runtime back, and what speaks against it; nothing of it is asked for."""
    backend = backend_of(None, Surroundings(around.platform, around.environ))
    if backend is None:
        return [judge_release("", "")]
    hopeless = backend.hopeless()
    why = hopeless[1] if hopeless is not None else backend.permission()
    return [judge_release(backend.name, why)]


def judge_release(name: str, why: Text) -> Row:
    """Without a name there is nothing that could be handed back."""
    if name and why:
        told = words("with {backend}: {why}", backend=name, why=why)
        return bad(
            RELEASE, told, words("see what would happen: {command}", command="colab-run release --rehearse")
        )
    if name:
        return good(RELEASE, words("with {backend}: nothing speaks against it", backend=name))
    return absent(RELEASE, words("not managed: colab-run cannot hand this machine back"))
