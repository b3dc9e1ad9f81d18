"""All checks of `doctor` in their order, and what they need from around them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from launcher.children import call_in_child
from launcher.doctoring import gpus, machine, programs, runs, storage
from launcher.doctoring.around import Around
from launcher.doctoring.collect import DEADLINE_S, Check, examine
from launcher.doctoring.model import Diagnosis, Row, bad
from launcher.doctoring.privacy import Scrubber
from launcher.judging import Here
from launcher.probes.platform import read_platform
from launcher.values import Known
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Text

# A home folder on a network may hang.
_LINKS_S = 1.0
AGAIN = words("try again; if it stays so, send this page as feedback")


def diagnose(environ: Mapping[str, str], language: str, *, deadline_s: float = DEADLINE_S) -> Diagnosis:
    """Is everything in order here? Changes nothing, and takes little more than `deadline_s`, whatever hangs.

    Raises UsageError where the configuration that ships cannot be read.
    """
    # Without the user's rates: their folder may hang, so a check of its own reads them.
    workdir = _workdir()
    here = Here(dict(environ), own_rates=False)
    catalog, platform = here.catalog, read_platform(environ)
    around = Around(environ, catalog, platform, workdir or os.sep, here.today)
    rows = examine(checks(around, language), deadline_s)
    if not workdir:
        gone = words("the folder that you are in is no longer there")
        rows = (bad("workdir", gone, _elsewhere()), *rows)
    clean = _scrubber(environ)
    return Diagnosis(
        _version(),
        tuple(clean.row(row) for row in rows),
        catalog.colab.menu.feedback.words if platform.on_colab else "",
        _issues(),
    )


def checks(around: Around, language: str) -> tuple[Check, ...]:
    """Every check, in the order in which its rows are shown."""

    def platform_rows() -> list[Row]:
        return [machine.judge_platform(around.platform)]

    return (
        Check("python", programs.python_rows, AGAIN),
        Check("programs", partial(programs.program_rows, around), _path(), hangs=True),
        Check("locale", partial(programs.locale_rows, language), AGAIN),
        Check("platform", platform_rows, AGAIN),
        Check(gpus.DRIVER, partial(gpus.gpu_rows, around), gpus.AGAIN, hangs=True),
        Check("cgroup", partial(machine.cgroup_rows, around), AGAIN),
        Check("shm", partial(machine.shm_rows, around), AGAIN),
        Check("supervision", partial(machine.supervision_rows, around), AGAIN),
        Check("clock", partial(machine.clock_rows, around), _disk()),
        Check("state", partial(storage.state_rows, around), storage.ELSEWHERE, hangs=True),
        Check("ledger", partial(storage.ledger_rows, around), storage.ELSEWHERE, hangs=True),
        Check("disk", partial(storage.disk_rows, around), _disk(), hangs=True),
        Check("drive", partial(storage.drive_rows, around), storage.REMOUNT, hangs=True),
        Check(runs.LEASES, partial(runs.lease_rows, around), AGAIN),
        Check(runs.RUNS, partial(runs.run_rows, around), AGAIN),
        Check(runs.RELEASE, partial(runs.release_rows, around), _rehearse()),
        Check("rates", partial(programs.rate_rows, around), AGAIN),
    )


def _workdir() -> str:
    """Empty where it was deleted under us."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _elsewhere() -> Text:
    return words("go to a folder that exists, and try again")


def _path() -> Text:
    return words("repair it, or put another one first on the PATH")


def _disk() -> Text:
    return words("go to a folder on a disk of this machine, and try again")


def _rehearse() -> Text:
    return words("see what would happen: {command}", command="colab-run release --rehearse")


def _scrubber(environ: Mapping[str, str]) -> Scrubber:
    """The names of this person and this machine, as far as they are known."""
    users = {environ.get("USER", ""), environ.get("LOGNAME", "")}
    homes = {environ.get("HOME", ""), os.path.expanduser("~")}
    with suppress(ImportError, KeyError, OSError):
        import pwd

        user = pwd.getpwuid(os.geteuid())
        users.add(user.pw_name)
        homes.add(user.pw_dir)
    real = call_in_child(lambda: [os.path.realpath(home) for home in homes if home], deadline_s=_LINKS_S)
    homes |= set(real.value) if isinstance(real, Known) else set()
    host = socket.gethostname()
    return Scrubber(environ, homes=homes, users=users, hosts={host, host.partition(".")[0]})


def _version() -> Text:
    from importlib import metadata

    try:
        return metadata.version("colab-run")
    except metadata.PackageNotFoundError:
        return words("from its source")


def _issues() -> str:
    """The address for problems that the package names; empty if it names none."""
    from importlib import metadata

    try:
        urls = metadata.metadata("colab-run").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    named = [url.partition(",") for url in urls]
    wanted = ("issues", "bug tracker", "tracker")
    return next((address.strip() for name, _, address in named if name.strip().lower() in wanted), "")
