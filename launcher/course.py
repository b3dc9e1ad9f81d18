"""The course of one run that may start: supervise, save, hand back. The record is written at each step."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher import holds, preflight
from launcher.clock import iso_utc
from launcher.errors import BeingReleased, ExitCode
from launcher.events import Announced, Ended, Launching, ReleaseEnded, Said
from launcher.guard.command import job_environment, run_argv, script_argv
from launcher.guard.folder import RunFolder, make_run_folder, state_folder, write_json
from launcher.guard.inbox import Inbox
from launcher.guard.model import RunPlan, RunReport
from launcher.guard.streams import StreamMode
from launcher.guard.supervise import Watchers, supervise
from launcher.handback import COLAB_HOLD_FILE, HandBack
from launcher.holder import leave_behind
from launcher.masking import mask_json
from launcher.probes import nvml
from launcher.probes.model import PlatformKind
from launcher.release import lease
from launcher.release.colab import target_problem
from launcher.release.decide import decide, may_release
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.results import Results
from launcher.saving.unsaved import find_unsaved, identity
from launcher.spec.model import AfterHold, Unsaved
from launcher.values import Known
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.catalog.model import Catalog
    from launcher.clock import Clock
    from launcher.events import Audience, Judged
    from launcher.record import RunRecord
    from launcher.saving.interface import Unsaved as UnsavedFiles
    from launcher.words import Text

EARLIER_RUN = "unsaved-files-of-an-earlier-run"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the job file. `result` is an absolute path."""

    extra: tuple[str, ...] = ()
    accept_unknown: bool = False
    no_release: bool = False
    json: bool = False
    tty: bool = False
    result: str | None = None


@dataclass(slots=True)
class Course:
    """One run from its lease to the last word on the runtime; `record` is what is known of it."""

    judged: Judged
    job_file: bytes
    options: RunOptions
    environ: dict[str, str]
    clock: Clock
    catalog: Catalog
    audience: Audience
    record: RunRecord
    write_result: Callable[[RunRecord], None]
    hints: tuple[Text, ...] = ()
    _secrets: tuple[str, ...] = ()
    _folder: RunFolder = field(default_factory=lambda: RunFolder(""))

    @property
    def _target(self) -> str:
        platform = self.judged.facts.platform
        if platform.release_target is None and platform.kind is not PlatformKind.PLAIN:
            return lease.ANY_TARGET  # On Colab with an environment that was scrubbed: ssh, sudo, cron.
        return platform.release_target or ""

    def go(self) -> None:
        """Run it. Raises BeingReleased and StateFolderError before anything is started."""
        spec = self.judged.spec
        self._secrets = preflight.secret_values(spec, self.environ)
        argv = run_argv(spec, self.options.extra)
        held = lease.hold_shared(self._target)
        if held is None:
            raise BeingReleased(
                words("this runtime is being handed back right now, so nothing was started"),
                words("connect to a new runtime and run the job there"),
            )
        try:
            home = state_folder(self.environ)
            self._folder = make_run_folder(home, self.job_file, self.clock)
            self.record.run_id, self.record.log = self._folder.run_id, self._folder.log
            self._write()
            with Inbox() as inbox:
                report = self._supervise(argv, inbox)
                results = self._save(inbox)
                asked = self._decide(report, results)
                held.close()  # A release needs the lease alone, ours included.
                self._finish(asked)
                if asked is None:
                    self._hand_back(inbox)
        finally:
            held.close()

    # --- the job --------------------------------------------------------------------------------

    def _supervise(self, argv: tuple[str, ...], inbox: Inbox) -> RunReport:
        spec, record = self.judged.spec, self.record
        run_id = record.run_id or ""
        gpus = self.judged.facts.gpu.gpus
        plan = RunPlan(
            run_id=run_id,
            run=argv,
            setup=None if spec.setup is None else script_argv(spec.setup, spec.name),
            env=job_environment(spec, self.environ, run_id=run_id, run_dir=self._folder.path, attempt=1),
            workdir=spec.workdir,
            log_path=self._folder.log,
            max_duration_s=spec.max_duration_s,
            stop_grace_s=spec.stop_grace_s,
            leftovers=spec.leftovers,
        )
        self.audience.tell(Launching(spec.name, run_id, tuple(self._warnings()), self.hints))
        if self._will_hold():
            self.audience.tell(Announced(spec.release.hold_s, self._after_hold().value, self.judged.rate))
        report = supervise(
            plan,
            clock=self.clock,
            inbox=inbox,
            mode=StreamMode(json=self.options.json, tty=self.options.tty),
            watchers=Watchers(
                started=self._started,
                say=lambda text: self.audience.tell(Said(text)),
                warn=lambda text: self.audience.tell(Said(text, warning=True)),
            ),
            gpu_meter=nvml.memory_meter if isinstance(gpus, Known) and gpus.value else None,
        )
        self._note_end(report)
        return report

    def _warnings(self) -> list[Text]:
        spec, platform = self.judged.spec, self.judged.facts.platform
        warnings: list[Text] = [
            words("the output folder {folder} is on this machine's own disk and goes with it", folder=target)
            for target in preflight.goes_with_the_machine(spec, platform)
        ]
        problem = target_problem(self._target) if platform.managed else None
        if problem and may_release(spec.release.when, managed=True, no_release=self.options.no_release):
            warnings.append(words("the release cannot work: {why}", why=problem))
        return warnings

    def _started(self, step: str, pid: int) -> None:
        self.record.processes[step] = pid
        if self.record.started_wall is None:
            self.record.started_wall = self.clock.wall()
        self.record.state, self.record.attempts = "started", 1
        self._write()

    def _note_end(self, report: RunReport) -> None:
        outcome, record = report.outcome, self.record
        record.report, record.started_wall = report, report.started_wall
        record.outcome, record.exit_code = outcome.name, int(outcome.exit_code)
        record.decided_by = outcome.decided_by
        record.processes.clear()
        record.state = "exited"
        self._write()

    # --- its results ----------------------------------------------------------------------------

    def _save(self, inbox: Inbox) -> Results:
        spec, record = self.judged.spec, self.record
        results = Results(spec, self._folder, inbox, self.clock, self.audience, self._secrets)
        if spec.outputs:
            record.state = "saving"
            self._write()
            results.save(record)
            holds.lift(self._target, record.saved)
            if not results.complete and record.exit_code == 0:
                record.exit_code, record.decided_by = int(ExitCode.NOT_SAVED), "colab-run"
            self._write()
        return results

    # --- the runtime ----------------------------------------------------------------------------

    def _will_hold(self) -> bool:
        """Could files that no output names hold the release of this run?"""
        spec = self.judged.spec
        managed = self.judged.facts.platform.managed
        return (
            may_release(spec.release.when, managed=managed, no_release=self.options.no_release)
            and not spec.outputs
            and spec.release.unsaved is Unsaved.HOLD
            and not preflight.is_on_drive(spec.workdir, self.judged.facts.platform)
        )

    def _after_hold(self) -> AfterHold:
        return self.judged.spec.release.after_hold or AfterHold.STAY

    def _decide(self, report: RunReport, results: Results) -> ReleaseResult | None:
        policy = self.judged.spec.release
        result = decide(
            when=policy.when,
            managed=self.judged.facts.platform.managed,
            no_release=self.options.no_release,
            report=report,
        )
        if result is not None:
            return result
        if results.stopped:
            return ReleaseResult(ReleaseStatus.KEPT, "ended-by-person", words("a person pressed stop"))
        return self._held(report, results)

    def _held(self, report: RunReport, results: Results) -> ReleaseResult | None:
        """Rule 3: not without the work, neither this run's nor that of one before it."""
        now = self.clock.wall()
        own = self._own_hold(report, results, now)
        if own is not None:
            self._note_hold(own)
            reason = "not-saved" if not results.complete else "unsaved-files"
            return self._held_until(own, reason)
        earlier = holds.waiting(self._target, now)
        if not earlier:
            return None
        return ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, earlier)

    def _own_hold(self, report: RunReport, results: Results, now: float) -> holds.Hold | None:
        """What of this run may exist only here. `discard` gives up files that no output names, no more."""
        spec = self.judged.spec
        failed = results.failed
        # The log is among them when it could not be copied, but no later run can make up for it.
        declared = {preflight.resolve(output.path, spec.workdir) for output in spec.outputs}
        unnamed = not spec.outputs and spec.release.unsaved is Unsaved.HOLD
        if unnamed or any(row.missing for row in failed):
            # Where a declared output is not what was made, what was made lies elsewhere.
            self.record.unsaved = self._find_unsaved(report)
        files = self.record.unsaved.files if self.record.unsaved else ()
        if not files and results.complete:
            return None
        return holds.Hold(
            self._folder.run_id,
            spec.workdir,
            tuple(path for path, _ in files),
            tuple((row.path, row.to) for row in failed if not row.missing and row.path in declared),
            now + spec.release.hold_s,
            release_then=self._after_hold() is AfterHold.RELEASE,
        )

    def _find_unsaved(self, report: RunReport) -> UnsavedFiles | None:
        workdir = self.judged.spec.workdir
        if preflight.is_on_drive(workdir, self.judged.facts.platform):
            return None  # Drive outlives the machine.
        mine = (identity(self._folder.path), identity(state_folder(self.environ)))
        streams = (identity(1), identity(2), self.options.result and identity(self.options.result))
        without = frozenset(key for key in (*mine, *streams) if isinstance(key, tuple))
        unsaved = find_unsaved(workdir, report.files_since_ns, without=without)
        return unsaved if unsaved.count else None

    def _note_hold(self, hold: holds.Hold) -> None:
        try:
            holds.note(self._target, hold)
        except OSError as error:
            self.audience.tell(
                Said(words("the hold could not be noted: {why}", why=reason(error.strerror)), warning=True)
            )

    def _held_until(self, hold: holds.Hold, code: str) -> ReleaseResult:
        detail = (
            words("outputs could not be saved and verified")
            if code == "not-saved"
            else words("files exist only on this machine")
        )
        return ReleaseResult(
            ReleaseStatus.HELD,
            code,
            detail,
            until=iso_utc(hold.until_wall),
            then=self._after_hold().value,
        )

    def _finish(self, asked: ReleaseResult | None) -> None:
        """The record as it stands when the job is over; a hold is left to a process that outlives us."""
        self.record.release = asked
        self.record.state = "releasing" if asked is None else "done"
        self._write()
        policy = self.judged.spec.release
        self.audience.tell(Ended(self.record, asked, policy.grace_s, policy.hold_s, self._after_hold().value))
        held = asked is not None and asked.status is ReleaseStatus.HELD
        if held and self._after_hold() is AfterHold.RELEASE:
            leave_behind(self._release_after_hold)

    def _release_after_hold(self) -> None:
        """In a process of its own. A signal to it keeps the runtime, as a press does in a countdown."""
        with Inbox() as inbox:
            end = self.clock.monotonic() + self.judged.spec.release.hold_s
            while (left := end - self.clock.monotonic()) > 0:
                inbox.wait(left)
                if inbox.take_stop() is not None:
                    self._note_release(
                        ReleaseResult(
                            ReleaseStatus.KEPT, "ended-by-person", words("a person stopped the hold")
                        )
                    )
                    return
            others = holds.waiting(self._target, self.clock.wall(), without=self._folder.run_id)
            if others:
                self._note_release(ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, others))
            else:
                self._note_release(self._hand_backer(inbox).now())

    def _hand_back(self, inbox: Inbox) -> None:
        result = self._hand_backer(inbox).after_grace(self.judged.spec.release.grace_s)
        if result.status is ReleaseStatus.FAILED and self.record.exit_code == 0:
            self.record.exit_code, self.record.decided_by = int(ExitCode.NOT_RELEASED), "colab-run"
        self._note_release(result)
        self.audience.tell(ReleaseEnded(result, self.judged.rate))

    def _hand_backer(self, inbox: Inbox) -> HandBack:
        return HandBack(
            target=self._target,
            timing=self.catalog.colab.release,
            hold_files=(os.path.join(self._folder.path, "HOLD"), COLAB_HOLD_FILE),
            clock=self.clock,
            inbox=inbox,
            audience=self.audience,
            note=self._note_request,
        )

    def _note_request(self, result: ReleaseResult) -> None:
        self.record.release = result
        self._write()

    def _note_release(self, result: ReleaseResult) -> None:
        self.record.release, self.record.state = result, "done"
        self._write()

    def _write(self) -> None:
        """Into the run's folder and into --result. Neither may stop the run or its release."""
        try:
            write_json(self._folder.result, mask_json(self.record.as_json(), self._secrets))
        except OSError as error:
            self.audience.tell(
                Said(
                    words("{name}: {why}", name=self._folder.result, why=reason(error.strerror)), warning=True
                )
            )
        self.write_result(self.record)
