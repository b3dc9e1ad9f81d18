"""What held runs left: files and outputs that may exist only on this machine.

A hold lies beside the leases, where every run and every release of this boot sees it, whatever its
user and state folder. It speaks against each release until what it is about is gone or saved, until
it ends in a release itself, or until somebody says `--discard`.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from launcher.children import call_in_child
from launcher.clock import iso_utc
from launcher.guard.folder import write_json
from launcher.release import lease
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.values import Known
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.saving.interface import Saved
    from launcher.words import Text


# How long a look at what is held may take.
LOOK_S = 10.0
# More than the names of all files that a held run has.
LARGEST = 1 << 26


@dataclass(frozen=True, slots=True)
class Hold:
    """One held run.

    `files` lie under `workdir`; `outputs` are (path, to) pairs, absolute, that could not be saved. At
    `until_wall` (epoch seconds) comes what `then` says: `archive`, `release`, after which the hold no longer
    speaks against anybody, or `stay`.
    """

    run_id: str
    workdir: str
    files: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    until_wall: float
    then: str

    def sentence(self, now_wall: float) -> Text:
        """What it still says against a release; empty when it says nothing any more."""
        if self.then == "release" and now_wall >= self.until_wall:
            return ""
        outputs = _there(path for path, _ in self.outputs)
        if outputs:
            return words(
                "the output {path} of the run {name} could not be saved", path=outputs[0], name=self.run_id
            )
        there = len(_there(os.path.join(self.workdir, path) for path in self.files))
        if there == 0:
            return ""
        return counted(
            "{count} file of the run {name} may exist only here, under {folder}",
            "{count} files of the run {name} may exist only here, under {folder}",
            there,
            name=self.run_id,
            folder=self.workdir,
        )


def _there(paths: Iterable[str]) -> list[str]:
    """Those that exist; all, where that cannot be told: a dead mount answers nobody."""
    asked = list(paths)
    if not asked:
        return []
    answer = call_in_child(
        lambda: [number for number, path in enumerate(asked) if os.path.lexists(path)], deadline_s=LOOK_S
    )
    return [asked[number] for number in answer.value] if isinstance(answer, Known) else asked


def held_until(hold: Hold, *, complete: bool) -> ReleaseResult:
    """How a release ends that this hold speaks against; `complete`: every output was saved."""
    detail = (
        words("files exist only on this machine")
        if complete
        else words("outputs could not be saved and verified")
    )
    return ReleaseResult(
        ReleaseStatus.HELD,
        "unsaved-files" if complete else "not-saved",
        detail,
        until=iso_utc(hold.until_wall),
        then=hold.then,
    )


def note(target: str, hold: Hold) -> None:
    """Write the hold of a run, or replace it. Raises OSError."""
    write_json(_path(target, hold.run_id), asdict(hold))


def waiting(target: str, now_wall: float, *, without: str = "") -> Text:
    """What a held run of this boot says against a release of `target`, the newest first; empty if none does.

    `without` is the id of a run that is not asked.
    """
    for hold in sorted(_read_all(target), key=lambda hold: hold.run_id, reverse=True):
        if hold.run_id != without and (sentence := hold.sentence(now_wall)):
            return sentence
    return ""


def of_run(target: str, run_id: str) -> Hold | None:
    """The hold of this run, if it left one."""
    return next((hold for hold in _read_all(target) if hold.run_id == run_id), None)


def clear(target: str, run_id: str) -> None:
    """Everything that this run held is safe now. Raises OSError."""
    hold = of_run(target, run_id)
    if hold is not None:
        note(target, replace(hold, files=(), outputs=()))


def lift(target: str, saved: Iterable[Saved]) -> None:
    """Outputs that are saved now are no longer held by an earlier run that could not."""
    done = {(row.path, row.to) for row in saved if row.complete}
    for hold in _read_all(target):
        left = tuple(output for output in hold.outputs if output not in done)
        if left != hold.outputs:
            try:
                note(target, replace(hold, outputs=left))
            except OSError:
                continue  # Another user's: it goes on speaking, which is the safe side.


def _path(target: str, run_id: str) -> str:
    return os.path.join(lease.FOLDER, f"{lease.key(target)}.{run_id}.hold")


def _read_all(target: str) -> list[Hold]:
    prefix = f"{lease.key(target)}."
    try:
        names = os.listdir(lease.FOLDER)
    except OSError:
        return []
    return [
        _read(os.path.join(lease.FOLDER, name), name[len(prefix) : -len(".hold")])
        for name in names
        if name.startswith(prefix) and name.endswith(".hold")
    ]


def _content(path: str) -> bytes:
    """Of a regular file: whoever put something else there makes nobody wait. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a file")
        return file.read(LARGEST)


def _read(path: str, run_id: str) -> Hold:
    """The hold at `path`; one that we may not read speaks for its owner's folder as a whole."""
    try:
        row = json.loads(_content(path))
        return Hold(
            run_id,
            str(row["workdir"]),
            tuple(map(str, row["files"])),
            tuple((str(source), str(to)) for source, to in row["outputs"]),
            float(row["until_wall"]),
            str(row["then"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Hold(run_id, "/", (path.lstrip("/"),), (), 0.0, "stay")
