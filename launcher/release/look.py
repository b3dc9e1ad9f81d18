"""What speaks against a release on this machine just now: for the protocol, and as a sentence for people."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import StateFolderError
from launcher.release import lease, marks
from launcher.release.protocol import Others, Sight
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.words import Text

# Reading the notebook's kernels costs requests of its own: seldom, and freshly before a request.
KERNELS_EVERY_S = 10.0
KERNELS_FRESH_S = 1.0


@dataclass(slots=True)
class Lookout:
    """Looks for the release of `target`, which ends in this `way`.

    `own` is the file name of our run's note, `nonce` our release's.

    `busy_kernel()` is a sentence about a notebook kernel that is at work, empty when there is none;
    `why` a sentence about what held the release at the last look.
    """

    target: str
    folder: lease.Folder
    hold_files: tuple[str, ...]
    own: str
    nonce: str
    confirm_s: float
    way: str
    busy_kernel: Callable[[], Text]
    clock: Clock
    boottime: Callable[[], float]
    why: Text = ""
    _kernel: tuple[float, Text] | None = None

    def look(self, *, alone: bool, request_due: bool) -> Sight:
        """Everything but presses of stop; what costs most is looked at only when nothing else holds."""
        sight = self._marks(Sight(alone=alone))
        if not sight.kept and not sight.hold_file:
            sight = self._runs(sight)
            if sight.others is not Others.RUN and not sight.lost:
                self.why = self._kernels(KERNELS_FRESH_S if request_due else KERNELS_EVERY_S)
                sight = sight._replace(busy=bool(self.why))
        return sight

    def _marks(self, sight: Sight) -> Sight:
        now = self.boottime()
        sight = sight._replace(
            released=self._accepted(now, watched=True), answered=self._accepted(now, watched=False)
        )
        left = marks.kept(self.target, folder=self.folder, now=now)
        if left is not None:
            self.why = words("somebody wants to keep this runtime for another {time}", time=spelled(left))
            return sight._replace(kept=True)
        held_by = next((path for path in self.hold_files if os.path.lexists(path)), None)
        if held_by is not None:
            self.why = words("{path} exists; remove it to allow it", path=held_by)
        return sight._replace(hold_file=held_by is not None)

    def _accepted(self, now: float, *, watched: bool) -> bool:
        other = marks.accepted(
            self.target, way=self.way, watched=watched, without=self.nonce, folder=self.folder, now=now
        )
        return other is not None and now - other.at < self.confirm_s

    def _runs(self, sight: Sight) -> Sight:
        """Who is at work by the notes; where they say nothing, by the lease."""
        rows = [
            (note, guarded)
            for note, guarded in marks.runs(self.folder)
            if self._is_about(note) and marks.file_name(note) != self.own
        ]
        self.why = words("another run of colab-run on this machine is still at work, or is releasing it")
        # Held alone, the lease says that nobody is at work, but of a run that is just being killed the
        # lease may be free when its note is not yet.
        if any(guarded and not note.over for note, guarded in rows):
            return sight._replace(others=Others.RUN)
        others = Others.NONE if sight.alone else self._others()
        lost = next((note for note, guarded in rows if not guarded and not note.watch), None)
        if lost is not None and others is not Others.RUN:
            self.why = words(
                "nobody guards the run {name} any more; the next call of colab-run brings it to its end",
                name=lost.run_id,
            )
        return sight._replace(others=others, lost=lost is not None)

    def _is_about(self, note: marks.RunNote) -> bool:
        return self.target == lease.MACHINE or note.target in (self.target, lease.ANY_TARGET)

    def _others(self) -> Others:
        try:
            return lease.others(self.target, self.folder)
        except StateFolderError as error:
            # Who cannot see the lease cannot know that nobody holds it.
            self.why = error.what
            return Others.RUN

    def _kernels(self, oldest_s: float) -> Text:
        """Before the lease is taken, not under it: it takes a while, and a start would be refused."""
        if self._kernel is None or self.clock.monotonic() - self._kernel[0] > oldest_s:
            busy = self.busy_kernel()
            self._kernel = (self.clock.monotonic(), busy)
        return self._kernel[1]
