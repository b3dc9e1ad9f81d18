"""A watch: release this runtime once nothing shows life. What its guard does, to the last word.

It holds no lease: nothing of it is at work, and its note says so from the beginning.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher import holds
from launcher.backing import what_goes
from launcher.bookkeeping import Book
from launcher.errors import ExitCode
from launcher.events import Said
from launcher.flushing import RETRY_S, Flushing
from launcher.guard.channel import BEGUN
from launcher.guard.folder import RunFolder, make_run_folder, write_json
from launcher.handback import COLAB_HOLD_FILE, NOT_PREPARED, HandBack
from launcher.idling import STOPPED
from launcher.ledger.model import State
from launcher.life import runtime_life, runtime_policy
from launcher.noted import Noted
from launcher.release import lease, marks
from launcher.release.drive import drive_is_mounted
from launcher.release.interface import AWAKE, ReleaseResult, ReleaseStatus
from launcher.release_rows import EARLIER_RUN, NOT_OURS, Counting, row_of
from launcher.results import Results
from launcher.saving.model import TargetKind, parse_target
from launcher.saving.save import get_ready
from launcher.watch_outputs import Outputs, signs_of_work, written_by_us
from launcher.watch_place import replace_others
from launcher.watch_plan import FILE, NAME
from launcher.watch_senses import Listening, Recording, Senses
from launcher.watch_table import wait_json
from launcher.watch_telling import asked_json, watch_json
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.watcher import Seat
    from launcher.watch_plan import WatchPlan
    from launcher.words import Text

NOTE = "note"
WATCHING = "watching"
STOPPED_BY_PERSON = "watch-stopped"
REPLACED = "watch-replaced"
# What holds a release is looked at again after this part of the window, and after RETRY_S at the latest.
RETRIES = 6
# After these a release has been begun, and goes on with its own nonce.
BEGUN_RELEASE = (ReleaseStatus.REQUESTED, ReleaseStatus.ACCEPTED, ReleaseStatus.FAILED)


class Watch:
    """One watch from its note to its last word."""

    def __init__(self, plan: WatchPlan, seat: Seat, desk: Desk, clock: Clock) -> None:
        self.watch_plan, self.plan, self.asked = plan, plan.plan, plan.asked
        self.seat, self.desk, self.clock = seat, desk, clock
        self.policy = runtime_policy(self.asked.idle_s)
        self._changed: Text = ""

    # --- for events.Audience ----------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """To the client, if there still is one."""
        if self.desk.viewer is not None:
            self.desk.viewer.event(event)

    def _warn(self, text: Text) -> None:
        self.tell(Said(text, warning=True))

    # --- the course -------------------------------------------------------------------------------

    def go(self) -> None:
        """Everything. Raises StateFolderError before it has begun."""
        noted = self.seat.notes.read()
        if noted is None or not noted.planned:
            self._begin(noted)
        else:
            own = marks.Announced(noted.note, self.seat.kept.get(NOTE, -1))
            self._take_up(noted, own)
        self._watch()

    def take_up_lost(self, own: marks.Announced, noted: Noted) -> None:
        """Watcher and guard of this watch are both gone; we hold its note now."""
        self._take_up(noted, own)
        self._watch()

    def _begin(self, noted: Noted | None) -> None:
        """With `noted` a guard before us began with it. Raises StateFolderError."""
        plan = self.plan
        if noted is None:
            self.folder = make_run_folder(plan.home, plan.job_file, self.clock)
            plan.record.run_id, plan.record.log = self.folder.run_id, self.folder.log
            plan.record.state, plan.record.started_wall = WATCHING, self.clock.wall()
            path = os.path.join(lease.FOLDER, marks.file_name(self._run_note()))
            self.noted = Noted(self.folder.path, path, plan.record)
            self.note()
        else:
            self.noted, self.folder = noted, RunFolder(noted.folder)
        self._announce()
        self._set_up()
        with suppress(OSError):  # Then it cannot be found without a guard; the book says what is wrong.
            write_json(os.path.join(self.folder.path, FILE), self.asked.as_json())
        self.book.plan_written()
        self.book.note(State.PLANNED, name=NAME, kind=NAME)
        self.noted.planned = True
        self.note()
        self.book.write()
        self.book.flush()
        # Last: what was kept for a person who pressed stop is not wanted by one who asks for the release.
        replaced = replace_others(self.folder.run_id)
        self._told |= {"replaced": replaced.ended, "not_replaced": replaced.left}
        marks.drop_keep(plan.target, by=marks.PRESSED_STOP)
        if self.desk.viewer is not None:
            self.desk.viewer.tell(BEGUN, self.noted.record)

    def _run_note(self) -> marks.RunNote:
        plan = self.plan
        return marks.RunNote(self.folder.run_id, plan.home, NAME, os.geteuid(), plan.target, watch=True)

    def _announce(self) -> None:
        if NOTE in self.seat.kept:
            self.own = marks.Announced(self.noted.note, self.seat.kept[NOTE])
            return
        try:
            self.own = marks.announce(self.plan.target, self._run_note())
        except OSError as error:
            raise lease.unusable(error) from error
        self.own.over()
        for descriptor in self.own.fds:
            self.seat.keep(NOTE, descriptor)

    def _take_up(self, noted: Noted, own: marks.Announced) -> None:
        self.noted, self.folder, self.own = noted, RunFolder(noted.folder), own
        self.plan.record.run_id = self.folder.run_id
        self._set_up()

    def _set_up(self) -> None:
        if not self.seat.streams_taken:
            self.seat.take_streams()
        self.book = Book(self.plan, self.folder, self.noted, self.clock, self._warn)
        record = self.noted.record
        self._told = record.judged[NAME] = asked_json(self.watch_plan)
        record.decided_by = "colab-run"
        kinds = {parse_target(one.to, self.plan.spec.workdir).kind for one in self.plan.spec.outputs}
        if kinds:
            get_ready({*kinds, TargetKind.FOLDER})
        self.outputs = Outputs(self.plan)
        sources = runtime_life(
            self.plan.environ,
            what_goes(self.plan.target),
            self.policy.period_s,
            own=os.path.basename(self.own.path),
            folders=self.asked.folders,
            hold_files=self._hold_files,
            without=self.asked.ignored,
            skip=written_by_us(self.plan, self.asked.record),
        )
        recording = Recording(self.asked.record, self.asked.header)
        self.senses = Senses(
            sources,
            self.policy,
            self.clock,
            self.asked.until,
            recording,
            ours=signs_of_work(self.plan, self.asked.folders),
        )
        self.desk.status, self.desk.why = self._status, self._why
        try:
            self.desk.listen(self.book.socket_path())
        except OSError as error:
            why = words("no other shell can ask this run: {why}", why=reason(error.strerror or str(error)))
            self._warn(why)

    @property
    def _hold_files(self) -> tuple[str, ...]:
        return (os.path.join(self.folder.path, "HOLD"), COLAB_HOLD_FILE)

    def note(self) -> None:
        """Make what is noted known to whoever takes over."""
        self.seat.notes.write(self.noted)

    # --- watching ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        release = self.noted.record.release
        begun = release is not None and release.status in BEGUN_RELEASE
        if not begun:
            self._set_state(WATCHING)
        while begun or self._goes():
            begun = False
            result = self._hand_back()
            self._set_state(WATCHING)
            if result.reason == NOT_PREPARED:
                if self._pause() == STOPPED:
                    self._stopped()
                    break
            elif result.reason != AWAKE:
                break
        self._end()

    def _goes(self) -> bool:
        """Wait for idleness, save, wait for what holds it; False: a person said stop."""
        while True:
            if self.senses.wait(self.desk) == STOPPED:
                return self._stopped()
            self._note_ended()
            said = self._make_safe()
            if said == STOPPED:
                return self._stopped()
            if not said:
                return True
            self._set_state(WATCHING)

    def _make_safe(self) -> str:
        """Empty when it may go; STOPPED, or AWAKE when something shows life while it is held."""
        while True:
            held = self._save() or self._earlier()
            if held is None:
                return ""
            if held.status is ReleaseStatus.KEPT:
                return STOPPED
            self._note_release(held)
            if said := self._pause():
                return said

    def _pause(self) -> str:
        """Before what failed is tried again: empty, STOPPED, or AWAKE when something shows life."""
        due = self.clock.monotonic() + min(RETRY_S, self.asked.idle_s / RETRIES)
        while (left := due - self.clock.monotonic()) > 0:
            self.desk.wait(min(left, self.policy.period_s))
            if self.desk.take_stop() is not None:
                return STOPPED
            if self.senses.awake():
                return AWAKE
        return ""

    def _earlier(self) -> ReleaseResult | None:
        waiting = holds.waiting(self.plan.target, self.clock.wall())
        return ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, waiting) if waiting else None

    def _save(self) -> ReleaseResult | None:
        """Why the outputs hold the release; None where they are safe, or there are none."""
        if not self.plan.spec.outputs:
            return None
        record = self.noted.record
        self._set_state("saving")
        self.book.note(State.SAVING)
        self.book.flush()
        listening = Listening(self.desk, self.senses)
        before = self.outputs.look(listening.pressed)
        results = Results(self.plan, self.folder, listening, self.clock, self, with_log=False, of_a_job=False)
        results.save(record)
        results.save_receipt(record)
        self.outputs.saved(before if results.complete else None)
        self.senses.did_work()
        self.senses.settle(listening.pressed)
        self.book.note(State.SAVED)
        holds.lift(self.plan.target, record.saved)
        self._set_state(WATCHING)
        if results.stopped or listening.pressed():
            return ReleaseResult(ReleaseStatus.KEPT, STOPPED_BY_PERSON)
        if results.complete:
            return None
        why = results.failed[0].why or words("outputs could not be saved and verified")
        return ReleaseResult(ReleaseStatus.HELD, "not-saved", why)

    # --- the release ------------------------------------------------------------------------------

    def _hand_back(self) -> ReleaseResult:
        backend = self.plan.backend
        if backend is None:
            raise AssertionError("a watch without a backend is refused")
        self._set_state("releasing")
        self.book.make_durable()
        record = self.noted.record
        back = HandBack(
            target=what_goes(self.plan.target),
            backend=backend,
            timing=self.plan.timing,
            hold_files=self._hold_files,
            clock=self.clock,
            inbox=self.desk,
            audience=Counting(record, self.clock, self.tell),
            note=self._note_release,
            run_id=self.folder.run_id,
            own=self.own,
            confirm_s=self.plan.spec.release.confirm_s,
            # Nobody's cell is waiting for us: every busy kernel counts.
            busy_kernel=lambda: self.book.busy_kernel(attended=False),
            awake=lambda: self._changed or self.senses.awake(),
            prepare=self._prepare,
        )
        self._changed = ""
        result = back.go(self.asked.grace_s, resume=record.release)
        self._note_release(result)
        return result

    def _prepare(self, abort: Callable[[], bool]) -> Text:
        """Right before the request: an output that has changed since it was saved is saved again."""
        mounted = drive_is_mounted()
        why = Flushing(self.plan, self.noted, self.book, self, self.note)(abort)
        if mounted:
            self.senses.did_work()
            self.senses.settle(abort)
        if self.outputs.changed(abort):
            self._changed = words("an output has changed since it was saved")
        return why

    def _note_release(self, result: ReleaseResult) -> None:
        """Every change of what is known of the release."""
        record = self.noted.record
        if result == record.release:
            return
        state = row_of(result, record.release)
        record.release, record.countdown_until = result, None
        failed = result.status is ReleaseStatus.FAILED
        record.exit_code = int(ExitCode.NOT_RELEASED if failed else ExitCode.OK)
        if state is not None:
            self.book.note(state, nonce=result.nonce, reason=result.reason)
        if result.status is ReleaseStatus.REQUESTED:
            self.book.receipt()  # This machine may come to write no other.
        self.note()
        self.book.flush()
        self.book.write()
        if result.status in (ReleaseStatus.ACCEPTED, ReleaseStatus.FAILED) or result.reason in NOT_OURS:
            self.book.receipt()
        self.book.settle()

    # --- the end ----------------------------------------------------------------------------------

    def _stopped(self) -> bool:
        self._note_ended()
        if self.desk.replaced_by:
            why = words("a newer watch takes its place")
            self._note_release(ReleaseResult(ReleaseStatus.KEPT, REPLACED, why))
        else:
            why = words("a person stopped the watch")
            self._note_release(ReleaseResult(ReleaseStatus.KEPT, STOPPED_BY_PERSON, why))
        return False

    def _note_ended(self) -> None:
        """Once: what follows in the ledger follows the end of a run."""
        if self.noted.decided:
            return
        self.noted.decided = True
        self.book.note(State.ENDED)
        self.note()
        self.book.write()

    def _set_state(self, state: str) -> None:
        self.noted.record.state = state
        self.note()
        self.book.write()

    def _end(self) -> None:
        record = self.noted.record
        record.state = "done"
        record.exit_code = int(ExitCode.OK) if record.exit_code is None else record.exit_code
        self.book.write()
        if record.release is None or record.release.status is not ReleaseStatus.CONFIRMED:
            self.book.note(State.DONE)
        self.book.flush()
        self.own.withdraw()
        self.senses.close()
        self.desk.conclude(self.book.document())
        self.desk.close()
        self.book.close()

    # --- who asks ---------------------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        document = self.book.document()
        told = watch_json(self._told, self.senses, self.asked.grace_s, self.clock.wall())
        return {
            **document,
            NAME: told,
            "idle": self.senses.idle_json(),
            "guard_pid": os.getpid(),
            "folder": self.folder.path,
        }

    def _why(self) -> dict[str, Any]:
        return {**self._status(), **wait_json(self.senses, self.asked.grace_s)}
