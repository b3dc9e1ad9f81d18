"""The use cases as plain functions: check, run, exec, probe, release. No terminal, no command line.

This is the one place where the job file meets the catalogue, the probes and the verdict; jobs.py reads
the job, judging.py holds it against the machine, course.py is what happens to a run that may start.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher import backing, preflight
from launcher.errors import ColabRunError, ExitCode, GpusTaken, JobFileError
from launcher.events import Refused, Said
from launcher.guard.inbox import Inbox
from launcher.judging import Here, check, hints_at_launch, parse_balance, probe, rate_of
from launcher.launch import Launch, make_plan
from launcher.once import look
from launcher.plan import queue_of
from launcher.probes.kernels import kernel_of
from launcher.record import RunRecord, judged_object
from launcher.release.decide import may_release
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.result_file import ResultFile
from launcher.verdict.model import FindingCode, Status, Verdict
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.events import Audience
    from launcher.guard.watcher import Egg
    from launcher.jobs import Job
    from launcher.plan import RunOptions
    from launcher.probes.model import RuntimeFacts
__all__ = ["Here", "check", "parse_balance", "probe", "rate_of", "run"]


# --- run ----------------------------------------------------------------------------------------


def run(job: Job, options: RunOptions, here: Here, audience: Audience, egg: Egg) -> RunRecord:
    """Check the job, have it run under guard, saved and released; the record says how it ended.

    `egg` is the guard that waits for a plan. Raises ColabRunError (64, 69 while the runtime is being
    released, 73) before anything is started; Detached and GuardLost when the run goes on without us.
    """
    if options.once is not None:
        look(options.once, job.spec, here.environ)
    secrets = preflight.secret_values(job.spec, here.environ)
    results = ResultFile(options.result, secrets, job_file=str(job.source))
    record = RunRecord(job.spec.name, managed=is_managed(here.environ))
    results.write(record)
    judged = check(job, here)
    if options.queue:
        # By a run of it that is just ending, perhaps: the guard waits a moment.
        judged = replace(judged, verdict=_but_for_time(judged.verdict))
    if options.wait_s is not None and _may_start(_but_for_time(judged.verdict), options):
        from launcher.waiting import wait_until_free

        until = time.monotonic() + options.wait_s
        with Inbox() as inbox:
            waited = wait_until_free(judged, job, here, wait_s=options.wait_s, inbox=inbox, audience=audience)
        if isinstance(waited, int):
            note_stopped(record, waited)
            results.write(record)
            audience.tell(Said(words("stopped while it waited; nothing was started")))
            return record
        judged = waited
        # What is left of it is for the guard, should another run be quicker.
        options = replace(options, wait_s=max(0.0, until - time.monotonic()))
    record.queue = queue_of(options.queue)
    record.judged = judged_object(judged.verdict.findings, judged.advice)
    platform = judged.facts.platform
    backend = backing.backend_here(job.spec, platform, here.environ, secrets, kernel_of(os.getpid()))
    record.rate, record.managed = judged.rate, backing.is_managed(platform, backend)
    record.bill_goes_on = backing.bill_goes_on(backend)
    if not _may_start(judged.verdict, options):
        refuse(record)
        results.write(record)
        audience.tell(Refused(judged, in_cell=_in_cell(judged.facts)))
        return record
    goes = may_release(
        job.spec.release.when,
        managed=platform.managed,
        backed=backend is not None,
        no_release=options.no_release,
    )
    hints = hints_at_launch(judged, here, will_release=goes)
    try:
        plan = make_plan(judged, job.data, options, here, record, results, hints, backend)
        with Inbox() as inbox:
            return Launch(plan, audience).go(egg, inbox)
    except ColabRunError as error:
        note_error(record, error)
        results.write(record)
        raise


def _but_for_time(verdict: Verdict) -> Verdict:
    """Without what may change by itself: the waiting looks at that."""
    return Verdict(tuple(row for row in verdict.findings if row.code is not FindingCode.GPU_TAKEN))


def _may_start(verdict: Verdict, options: RunOptions) -> bool:
    if verdict.status is Status.UNKNOWN:
        return options.accept_unknown
    return verdict.status is Status.MET


def refuse(record: RunRecord) -> None:
    """The runtime does not do, and nothing was started."""
    record.state, record.outcome = "done", "refused"
    record.exit_code, record.decided_by = int(ExitCode.NOT_MET), "colab-run"
    record.release = ReleaseResult(ReleaseStatus.NOT_ASKED, "refused", words("nothing was started"))


def note_stopped(record: RunRecord, number: int) -> None:
    """A person ended the waiting by this signal; nothing was started."""
    record.state, record.outcome = "done", "interrupted"
    record.exit_code, record.decided_by = 128 + number, "colab-run"
    record.release = ReleaseResult(ReleaseStatus.NOT_ASKED, "not-started", words("nothing was started"))


def note_error(record: RunRecord, error: ColabRunError) -> None:
    """Nothing was started, and this is why."""
    record.state, record.error = "done", error.what
    record.exit_code, record.decided_by = int(error.exit_code), "colab-run"
    record.release = ReleaseResult(ReleaseStatus.NOT_ASKED, "not-started", "nothing was started")
    if isinstance(error, GpusTaken):
        record.outcome = "refused"
        if error.row is not None:
            rows = record.judged.get("findings")
            found = [*(rows if isinstance(rows, list) else ()), error.row]
            record.judged = {"advice": None, **record.judged, "findings": found}
    if isinstance(error, JobFileError):
        record.problems = error.problems


def note_bug(record: RunRecord, error: Exception) -> None:
    """Our own fault: the last word says so, whatever the job itself came to."""
    record.state, record.error = "done", f"a bug of colab-run: {type(error).__name__}: {error}"
    record.exit_code, record.decided_by = int(ExitCode.BUG), "colab-run"


def is_managed(environ: Mapping[str, str]) -> bool:
    """On a managed Colab VM, as far as the environment alone tells."""
    return bool(environ.get("TBE_RUNTIME_ADDR"))


def _in_cell(facts: RuntimeFacts) -> bool:
    """Are we behind `!` in a Colab cell? There our terminal is nobody's controlling terminal."""
    if not facts.platform.on_colab or not os.isatty(1):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return True
    return False
