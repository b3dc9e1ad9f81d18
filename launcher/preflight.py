"""What a run needs besides hardware: secrets that are set, and a place for its outputs.

The findings join those of the verdict, so that everything that is missing is said at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.places import DRIVE, is_under, resolve
from launcher.saving.model import TargetKind, parse_target
from launcher.verdict.model import Finding, FindingCode, Status
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.probes.model import Platform
    from launcher.spec.model import JobSpec, Output
    from launcher.words import Text

MOUNT_CELL = "from google.colab import drive; drive.mount('/content/drive')"


def secret_values(spec: JobSpec, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values to mask."""
    return tuple(environ[name] for name in spec.secrets if environ.get(name))


def judge_secrets(spec: JobSpec, environ: Mapping[str, str]) -> list[Finding]:
    """One finding for each secret that the environment does not have."""
    return [
        Finding(
            requirement=f"secret {name}",
            wanted="set",
            found="not set",
            status=Status.SHORT,
            code=FindingCode.SECRET,
            wanted_text=words("set"),
            found_text=words("not set"),
            note=words("put it into the environment first"),
        )
        for name in spec.secrets
        if not environ.get(name)
    ]


def judge_outputs(spec: JobSpec, platform: Platform, environ: Mapping[str, str]) -> list[Finding]:
    """One finding for each output target that cannot take anything, and one for such a mirror."""
    findings = [_judge_output(output, spec.workdir, platform, environ) for output in spec.outputs]
    if spec.mirror is not None and _needs_drive(resolve(spec.mirror, spec.workdir), platform):
        findings.append(_no_drive("ledger.mirror", spec.mirror))
    return [finding for finding in findings if finding is not None]


def _judge_output(
    output: Output, workdir: str, platform: Platform, environ: Mapping[str, str]
) -> Finding | None:
    target = parse_target(output.to, workdir)
    if target.kind is TargetKind.FOLDER:
        return _judge_folder(output, target.text, workdir, platform)
    from launcher.saving.remote.engine import target_problem

    problem = target_problem(target, environ)
    return _target_finding(output, FindingCode.OUTPUT_TARGET, problem) if problem else None


def _needs_drive(folder: str, platform: Platform) -> bool:
    return is_under(folder, DRIVE) and not platform.drive_mounted


def _no_drive(requirement: str, folder: str) -> Finding:
    found = words("Drive is not mounted")
    return Finding(
        requirement=requirement,
        wanted=f"a writable folder {folder}",
        found=str(found),
        status=Status.SHORT,
        code=FindingCode.DRIVE_NOT_MOUNTED,
        wanted_text=words("into {folder}", folder=folder),
        found_text=found,
        note=words("mount it in a cell of its own (a command after ! cannot): {code}", code=MOUNT_CELL),
    )


def _judge_folder(output: Output, target: str, workdir: str, platform: Platform) -> Finding | None:
    if _needs_drive(target, platform):
        return _no_drive(f"output {output.path}", output.to)
    source = resolve(output.path, workdir)
    copies = (target, os.path.join(target, os.path.basename(source)))
    if os.path.realpath(source) in map(os.path.realpath, copies):
        return _target_finding(
            output,
            FindingCode.OUTPUT_TARGET,
            words("the output itself"),
            words("name another folder in `to`"),
        )
    folder = Path(target)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return _target_finding(
            output, FindingCode.OUTPUT_TARGET, words("{folder} is not a folder", folder=folder)
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return _target_finding(
            output, FindingCode.OUTPUT_TARGET, words("{folder} cannot be written to", folder=folder)
        )
    return None


def _target_finding(output: Output, code: FindingCode, found: Text, note: Text = "") -> Finding:
    return Finding(
        requirement=f"output {output.path}",
        wanted=f"a writable folder {output.to}",
        found=str(found),
        status=Status.SHORT,
        code=code,
        wanted_text=words("into {folder}", folder=output.to),
        found_text=found,
        note=note,
    )


def goes_with_the_machine(spec: JobSpec, platform: Platform) -> list[str]:
    """Output targets on the managed VM's own disk: allowed, but a release deletes them."""
    if not platform.managed:
        return []
    own_disk = _device("/")
    targets = _folders(spec)
    return [target for target in targets if not is_under(target, DRIVE) and _device(target) == own_disk]


def _folders(spec: JobSpec) -> list[str]:
    """Of the outputs' targets those that are folders here."""
    targets = (parse_target(output.to, spec.workdir) for output in spec.outputs)
    return [target.text for target in targets if target.kind is TargetKind.FOLDER]


def tightest_disk(spec: JobSpec) -> str:
    """Where the least is free, of the places that the job and its outputs go to (Drive apart)."""
    places = [spec.workdir, *_folders(spec)]
    local = [_existing(place) for place in places if not is_under(place, DRIVE)]
    return min(local, key=_free, default=spec.workdir)


def _existing(path: str) -> str:
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _free(path: str) -> float:
    try:
        status = os.statvfs(path)
    except OSError:
        return float("inf")
    return status.f_bavail * status.f_frsize


def _device(path: str) -> int | None:
    try:
        return Path(_existing(path)).stat().st_dev
    except OSError:
        return None
