"""What of a run may exist only on this machine when it ends. It holds the release (rule 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher import holds
from launcher.children import call_in_child
from launcher.places import is_on_drive, resolve
from launcher.release.decide import may_release
from launcher.saving.interface import Unsaved as UnsavedFiles
from launcher.saving.unsaved import find_unsaved, identity
from launcher.spec.model import AfterHold, Unsaved
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from launcher.guard.folder import RunFolder
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.results import Results

# A workdir of a million files takes half a minute.
LONGEST_WALK_S = 300.0


def will_hold(plan: Plan) -> bool:
    """Could files that no output names hold the release of this run?"""
    spec, platform = plan.spec, plan.platform
    goes = may_release(
        spec.release.when,
        managed=platform.managed,
        backed=plan.backend is not None,
        no_release=plan.options.no_release,
    )
    return (
        goes
        and not spec.outputs
        and spec.release.unsaved is Unsaved.HOLD
        and not is_on_drive(spec.workdir, platform)
    )


def after_hold(plan: Plan) -> AfterHold:
    """What happens when a hold ends. Without Drive there is no archive."""
    asked, drive = plan.spec.release.after_hold, plan.platform.drive_mounted
    if asked is None:
        return AfterHold.ARCHIVE if drive else AfterHold.STAY
    return AfterHold.STAY if asked is AfterHold.ARCHIVE and not drive else asked


def own_hold(plan: Plan, folder: RunFolder, noted: Noted, results: Results, now: float) -> holds.Hold | None:
    """The hold of this run, if it has one. `discard` gives up files that no output names, no more."""
    spec, record = plan.spec, noted.record
    failed = results.failed
    # The log is among them when it could not be copied, but no later run can make up for it.
    declared = {resolve(output.path, spec.workdir) for output in spec.outputs}
    unnamed = not spec.outputs and spec.release.unsaved is Unsaved.HOLD
    if unnamed or any(row.missing for row in failed):
        # Where a declared output is not what was made, what was made lies elsewhere.
        record.unsaved = _find_unsaved(plan, folder, noted)
    files = record.unsaved.files if record.unsaved else ()
    if not files and results.complete:
        return None
    return holds.Hold(
        folder.run_id,
        spec.workdir,
        tuple(path for path, _ in files),
        tuple((row.path, row.to) for row in failed if not row.missing and row.path in declared),
        now + spec.release.hold_s,
        then=after_hold(plan).value,
    )


def _find_unsaved(plan: Plan, folder: RunFolder, noted: Noted) -> UnsavedFiles | None:
    """In a child: a workdir on a dead mount hangs whoever walks it."""
    if noted.report is None:
        return None
    since = noted.report.files_since_ns
    answer = call_in_child(lambda: _walk(plan, folder.path, since), deadline_s=LONGEST_WALK_S)
    if answer == Unknown("crashed"):  # Somebody has killed it; that says nothing about files.
        answer = call_in_child(lambda: _walk(plan, folder.path, since), deadline_s=LONGEST_WALK_S)
    if not isinstance(answer, Known):
        return UnsavedFiles(((".", 0),))  # What cannot be looked for may be there: it holds.
    unsaved = UnsavedFiles(tuple((str(path), int(size)) for path, size in answer.value))
    return unsaved if unsaved.count else None


def _walk(plan: Plan, place: str, since_ns: int) -> tuple[tuple[str, int], ...]:
    workdir = plan.spec.workdir
    if is_on_drive(workdir, plan.platform):
        return ()  # Drive outlives the machine.
    mine = (identity(place), identity(plan.home), plan.result.path and identity(plan.result.path))
    without = frozenset(key for key in (*mine, *plan.own_files) if isinstance(key, tuple))
    return find_unsaved(workdir, since_ns, without=without).files
