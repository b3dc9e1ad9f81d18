"""`colab-run release`: hand the runtime back now, or rehearse that: everything but the last step."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from launcher import backing, holds
from launcher.busy import busy_elsewhere
from launcher.children import call_in_child
from launcher.events import ReleaseEnded
from launcher.flushing import flush_or_say
from launcher.guard.inbox import Inbox
from launcher.handback import COLAB_HOLD_FILE, HandBack
from launcher.judging import Here, probe
from launcher.places import DRIVE, is_under
from launcher.preflight import secret_values
from launcher.probes import kernels
from launcher.record import RunRecord
from launcher.release import lease, marks
from launcher.release.backends import Surroundings, backend_of
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.release.look import Lookout
from launcher.release.protocol import speaks_against
from launcher.saving.meter import Meter
from launcher.saving.model import Target, TargetKind, parse_target
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from launcher.events import Audience
    from launcher.jobs import Job
    from launcher.probes.model import Platform
    from launcher.record import HourlyRate
    from launcher.release.interface import ReleaseBackend
    from launcher.words import Text

# A canary is a few bytes; a target that has not taken them by then is as good as none.
CANARY_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Releasing:
    """What a release from here would be. `spec`'s outputs and `with` count where a job file is named."""

    here: Here
    job: Job | None
    platform: Platform
    rate: HourlyRate | None
    target: str
    backend: ReleaseBackend | None

    @classmethod
    def look(cls, here: Here, job: Job | None) -> Releasing:
        """Probe the runtime, and find what hands it back."""
        here = replace(here, own_rates=False)
        facts, rate = probe(here, "/")
        platform, environ = facts.platform, here.environ
        backend = (
            backend_of(None, Surroundings(platform, environ))
            if job is None
            else backing.backend_here(
                job.spec,
                platform,
                environ,
                secret_values(job.spec, environ),
                kernels.kernel_of(os.getpid()),
            )
        )
        return cls(here, job, platform, rate, backing.target_of(platform, environ), backend)

    def go(self, audience: Audience, *, discard: bool) -> ReleaseResult:
        """After the same safety checks as at the end of a run."""
        waiting = "" if discard else holds.waiting(self.target, self.here.clock.wall())
        if self.backend is None:
            result = ReleaseResult(ReleaseStatus.NOT_MANAGED, "not-managed", self._not_managed())
        elif waiting:
            result = ReleaseResult(ReleaseStatus.HELD, "unsaved-files", waiting)
        else:
            with Inbox() as inbox:
                back = HandBack(
                    target=backing.what_goes(self.target),
                    backend=self.backend,
                    timing=self.here.catalog.colab.release,
                    hold_files=(COLAB_HOLD_FILE,),
                    clock=self.here.clock,
                    inbox=inbox,
                    audience=audience,
                    note=lambda result: None,
                    prepare=partial(flush_or_say, audience, discard),
                    busy_kernel=self._busy_kernel,
                )
                result = back.now()
        audience.tell(ReleaseEnded(result, self.rate, lasting=False))
        return result

    def _busy_kernel(self) -> Text:
        """Another kernel than that of our own cell."""
        return busy_elsewhere(self.here.environ, kernels.kernel_of(os.getpid()), self.here.clock.wall())

    def _not_managed(self) -> Text:
        if self.job is not None and self.job.spec.release.how is not None:
            return words("the job file says that this is somebody else's business (with: none)")
        return words("this machine is not a managed Colab runtime")

    def costs_money(self, result: ReleaseResult) -> bool | Unknown:
        """Does this runtime go on costing money after `result`?"""
        record = RunRecord("release", release=result)
        record.managed = backing.is_managed(self.platform, self.backend)
        record.bill_goes_on = backing.bill_goes_on(self.backend)
        reading = record.money_still_running
        return reading.value if isinstance(reading, Known) else reading

    # --- rehearsal --------------------------------------------------------------------------------

    def rehearse(self) -> tuple[Step, ...]:
        """Every step but the last, for real: a small file goes through each output and is taken back."""
        if self.backend is None:
            return (self._permission(), *self._canaries())
        return (self._permission(), self._others(), self._unsaved(), *self._canaries(), *self._drive())

    def _permission(self) -> Step:
        if self.backend is None:
            return Step("backend", True, words("nothing would be released: {why}", why=self._not_managed()))
        hopeless = self.backend.hopeless()
        why = hopeless[1] if hopeless is not None else self.backend.permission()
        told = words("would do: {what}", what=self.backend.describe())
        return Step("backend", not why, words("{what}, but {why}", what=told, why=why) if why else told)

    def _others(self) -> Step:
        lookout = Lookout(
            target=backing.what_goes(self.target),
            folder=lease.FOLDER,
            hold_files=(COLAB_HOLD_FILE,),
            own="",
            way="" if self.backend is None else self.backend.way,
            nonce="",
            confirm_s=0.0,
            busy_kernel=self._busy_kernel,
            clock=self.here.clock,
            boottime=marks.boottime,
        )
        against = speaks_against(lookout.look(alone=False, request_due=True))
        if against:
            return Step("runs", False, lookout.why)
        return Step("runs", True, words("no run is at work here, and nobody keeps this runtime"))

    def _unsaved(self) -> Step:
        waiting = holds.waiting(self.target, self.here.clock.wall())
        return Step("unsaved", not waiting, waiting or words("no run has left unsaved files"))

    def _canaries(self) -> list[Step]:
        if self.job is None:
            return []
        spec = self.job.spec
        targets = dict.fromkeys(parse_target(output.to, spec.workdir) for output in spec.outputs)
        return [self._canary(target) for target in targets]

    def _canary(self, target: Target) -> Step:
        environ = self.here.environ
        if (
            target.kind is TargetKind.FOLDER
            and is_under(target.text, DRIVE)
            and not self.platform.drive_mounted
        ):
            return Step(target.shown, False, words("Drive is not mounted"), output=True)
        answer = call_in_child(lambda: _send_canary(target, environ), deadline_s=CANARY_DEADLINE_S)
        why = answer.value if isinstance(answer, Known) else getattr(answer, "detail", "") or answer.reason
        if why:
            said = words("a test file could not be saved to {to}: {why}", to=target.shown, why=why)
            return Step(target.shown, False, said, output=True)
        went = words("a test file went to {to} and came back", to=target.shown)
        return Step(target.shown, True, went, output=True)

    def _drive(self) -> list[Step]:
        if not self.platform.drive_mounted:
            return []
        return [Step("drive", True, words("Drive would be flushed and unmounted before the release"))]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rehearsal; `what` is a stable word, or the output's target."""

    what: str
    ok: bool
    said: Text
    output: bool = False

    def as_json(self) -> dict[str, object]:
        """One row of `release --rehearse --json`."""
        return {"step": self.what, "ok": self.ok, "said": str(self.said)}


def _send_canary(target: Target, environ: dict[str, str]) -> str:
    """In a child: why a small file cannot go there, verified; empty: it can, and it has been removed."""
    if target.kind is not TargetKind.FOLDER:
        from launcher.saving.remote.engine import canary

        return str(canary(target, Meter(), environ))
    import tempfile

    from launcher.saving.folder import copy_file

    name = f"canary-{os.urandom(6).hex()}"
    with tempfile.NamedTemporaryFile("w", prefix="colab-run-") as local:
        local.write(f"colab-run was here: {name}\n")
        local.flush()
        report = copy_file(local.name, target.text, name, name, Meter())
    with suppress(OSError):
        os.unlink(os.path.join(target.text, name))
    return f"{report.failures[0][0]}: {report.failures[0][1]}" if report.failures else ""
