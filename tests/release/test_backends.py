"""Refusals, hangs, crashes, late starts and holds for every backend that is a program; and which one it is.

The programs are real; those of Slurm and of powering off are stand-ins here (test_slurm.py has the real one).
"""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from helpers.release_machine import DAY_S, GRACE_S, Gone, Machine
from launcher.backing import backend_again, backend_here, bill_goes_on, is_managed, target_of, what_goes
from launcher.probes.model import Platform, PlatformKind
from launcher.release import lease, marks
from launcher.release.command import Command
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.release.poweroff import PowerOff
from launcher.release.slurm import Slurm
from launcher.spec.model import Argv, JobSpec, ReleasePolicy, ReleaseWith, With

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.release.interface import ReleaseBackend

REQUESTED = (ReleaseStatus.REQUESTED, "requested")
ACCEPTED = (ReleaseStatus.ACCEPTED, "accepted")


class World:
    """One machine for a guard, and programs that do what `script` says."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.machine = Machine(folder, f"{kind}-{folder.name}")
        self.log, self.script, self.bin = folder / "log", folder / "script", folder / "bin"
        self.bin.mkdir()
        self.log.touch()
        for name in ("scancel", "squeue", "shutdown"):
            program = self.bin / name
            queue = 'echo "7 5_1 RUNNING $EUID"; exit 0' if name == "squeue" else f". {self.script}"
            program.write_text(f"#!/bin/bash\n{queue}\n")
            program.chmod(0o755)
        (self.bin / "proc/self/ns").mkdir(parents=True)
        os.symlink("pid:[4026531836]", self.bin / "proc/self/ns/pid")
        for name in ("bash", "sleep", "touch"):
            os.symlink(f"/bin/{name}", self.bin / name)
        self.does("exit 0")
        self.backend = BACKENDS[kind](self)

    def does(self, script: str) -> None:
        """What the program does from now on; each of its runs is in the log."""
        self.script.write_text(f"echo ran >> {self.log}\n{script}\n")

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": str(self.bin)}

    def asked(self) -> int:
        return len(self.log.read_text().splitlines())

    def guard(self, **changes: object):
        return self.machine.guard(**{"backend": self.backend, **changes})


BACKENDS: dict[str, Callable[[World], ReleaseBackend]] = {
    "command": lambda world: Command(f". {world.script}", "/", world.environ),
    "stand-in slurm": lambda world: Slurm("7", world.environ),
    "stand-in poweroff": lambda world: PowerOff(world.environ, root=str(world.bin), as_root=True),
}


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


def test_a_refusal_is_said_after_five_minutes_and_asked_on(world: World) -> None:
    """Row 80: the client hears `failed` with what was said; the guard goes on, and is accepted in the end."""
    machine = world.machine
    world.does("echo 'not permitted' >&2; exit 1")
    machine.at(3600, lambda: world.does("exit 0"))
    machine.at(DAY_S, machine.press)
    machine.go(world.guard(), grace_s=0)
    failed = (ReleaseStatus.FAILED, "exit-1")
    assert machine.said()[:3] == [REQUESTED, failed, ACCEPTED]
    assert machine.when(*failed) == pytest.approx(300, abs=31)
    said = next(result for _, result in machine.noted if (result.status, result.reason) == failed)
    assert "not permitted" in str(said.detail)


def test_one_that_hangs_is_asked_again(world: World) -> None:
    """Row 83: the deadline of one attempt holds, and the next one is accepted."""
    ran = world.backend.ask("n", 20, lambda: None)
    assert ran.accepted
    world.does("sleep 1000")
    assert world.backend.ask("n", 4, lambda: None).reason == "timeout"
    assert world.asked() == 2


def test_accepted_and_still_here_is_asked_again(world: World) -> None:
    """Row 84: less and less often, and then it is said that it did not work."""
    result = world.machine.go(world.guard())
    assert result is not None
    assert (result.status, result.reason, result.attempts) == (ReleaseStatus.FAILED, "still-here", 9)
    assert world.asked() == 9
    assert result.http_status is None


def test_who_takes_over_asks_again_with_the_same_nonce(world: World) -> None:
    """Row 86: a guard was killed between its note and the answer."""
    told = world.log.with_name("nonces")
    world.does(f'echo "$COLAB_RUN_RELEASE_NONCE" >> {told}; exit 0')
    world.machine.goes_at(50)
    with pytest.raises(Gone):
        world.guard().go(0, ReleaseResult(ReleaseStatus.REQUESTED, "requested", "", 1, nonce="n1"))
    assert {result.nonce for _, result in world.machine.noted} == {"n1"}
    assert world.asked() == 1
    assert told.read_text().strip() == ("n1" if world.backend.name == "command" else "")


def test_a_run_does_not_start_while_it_is_asked(world: World) -> None:
    """Row 87: the lease is held alone from the last look to the answer, and not longer."""
    leases, machine = world.machine.folder / "leases", world.machine
    seen: list[bool] = []

    def start() -> bool:
        held = lease.hold_shared(machine.address, leases)
        if held is not None:
            held.close()
        return held is not None

    class Watching:
        """An inbox that tries to start a run whenever the guard serves, while it waits for an answer."""

        def wait(self, seconds: float) -> None:
            if world.asked() and not seen:
                seen.append(start())
                world.script.with_name("go").touch()
            if seconds > 0.01:
                machine.wait(seconds)

        def take_stop(self) -> None:
            return None

    world.does(f"until [ -e {world.script.with_name('go')} ]; do sleep 0.05; done")
    machine.goes_at(60)
    machine.go(world.guard(inbox=Watching()), grace_s=0)
    assert seen == [False]
    assert start()


def test_keep_and_hold_are_looked_at_before_every_attempt(world: World) -> None:
    """Row 90: a keep in the countdown, and a HOLD between two attempts."""
    machine = world.machine
    machine.at(
        50,
        lambda: marks.keep(machine.address, 300, "keep", folder=machine.folder / "leases", now=machine.now),
    )
    world.does("exit 1")
    machine.at(50 + 300 + GRACE_S + 40, (machine.folder / "HOLD").touch)
    machine.at(5000, machine.press)
    machine.go(world.guard())
    assert [reason for _, reason in machine.said()] == [
        "keep",
        "countdown",
        "requested",
        "hold-file",
        "ended-by-person",
    ]
    assert 0 < world.asked() < 20


def test_one_way_does_not_stand_for_another(world: World) -> None:
    """That a notebook's kernel was ended is no reason for another guard not to end the machine."""
    machine = world.machine
    marks.note_accepted(
        machine.address, "b", "nb", way="kernel:1", folder=machine.folder / "leases", now=machine.now
    )
    machine.goes_at(GRACE_S + 20)
    machine.go(world.guard())
    assert world.asked() == 1
    leases = machine.folder / "leases"
    marks.note_accepted(machine.address, "c", "nc", way=world.backend.way, folder=leases, now=machine.now)
    result = machine.go(world.guard())
    assert result is not None
    assert result.reason == "another-run-released"


# --- which backend --------------------------------------------------------------------------------

COLAB = Platform(PlatformKind.COLAB, "172.28.0.1:8011")
PLAIN = Platform(PlatformKind.PLAIN)
IN_SLURM = Platform(PlatformKind.SLURM)
SCRUBBED = Platform(PlatformKind.COLAB_UNMANAGED, host_file=True)


def job(how: ReleaseWith | None) -> JobSpec:
    return JobSpec("job", "/", Argv(("true",)), release=ReleasePolicy(how=how))


@pytest.mark.parametrize(
    ("how", "platform", "name"),
    [
        (None, COLAB, "colab"),
        (None, PLAIN, None),
        (None, IN_SLURM, None),
        (ReleaseWith(With.NONE), COLAB, None),
        (ReleaseWith(With.COLAB), PLAIN, "colab"),
        (ReleaseWith(With.SLURM), COLAB, "slurm"),
        (ReleaseWith(With.JUPYTER), PLAIN, "jupyter"),
        (ReleaseWith(With.JUPYTER_KERNEL), PLAIN, "jupyter-kernel"),
        (ReleaseWith(With.COMMAND, "true"), COLAB, "command"),
        (ReleaseWith(With.POWEROFF), PLAIN, "poweroff"),
    ],
)
def test_the_job_file_names_it_or_the_platform_does(
    how: ReleaseWith | None, platform: Platform, name: str | None, tmp_path: Path
) -> None:
    """It survives being handed to the guard, and being written down and built again."""
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "SLURM_JOB_ID": "7"}
    backend = backend_here(job(how), platform, environ, kernel="k1")
    assert (None if backend is None else backend.name) == name
    if backend is None:
        return
    assert pickle.loads(pickle.dumps(backend)) == backend
    again = backend_again(job(how), platform, environ, backend.as_json())
    assert (again.name, again.way) == (backend.name, backend.way)
    assert str(backend.describe()) or name == "jupyter"
    assert bill_goes_on(backend) == (name in ("jupyter", "jupyter-kernel"))
    assert is_managed(platform, backend) or bill_goes_on(backend)


def test_what_is_noted_wins_over_the_environment_of_who_takes_up(tmp_path: Path) -> None:
    """A shell in another allocation brings a lost run to its end: the run's own allocation goes."""
    noted = {"name": "slurm", "job": "7"}
    backend = backend_again(job(ReleaseWith(With.SLURM)), IN_SLURM, {"SLURM_JOB_ID": "9"}, noted)
    assert str(backend.describe()) == "scancel 7"
    with pytest.raises(ValueError, match="none is noted"):
        backend_again(job(ReleaseWith(With.SLURM)), IN_SLURM, {"SLURM_JOB_ID": "9"}, None)


# --- what the leases are about --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "environ", "target", "goes"),
    [
        (COLAB, {"SLURM_JOB_ID": "7"}, "172.28.0.1:8011", "172.28.0.1:8011"),
        (IN_SLURM, {"SLURM_JOB_ID": "7"}, "slurm:7", "slurm:7"),
        (IN_SLURM, {"SLURM_JOB_ID": "7; rm"}, lease.ANY_TARGET, lease.MACHINE),
        (PLAIN, {}, lease.MACHINE, lease.MACHINE),
        (SCRUBBED, {}, lease.ANY_TARGET, lease.MACHINE),
    ],
)
def test_the_target_is_a_matter_of_the_place(
    platform: Platform, environ: dict[str, str], target: str, goes: str
) -> None:
    """Never of the backend: runs with different backends have to see each other."""
    assert target_of(platform, environ) == target
    assert what_goes(target) == goes


@pytest.mark.parametrize("target", ["172.28.0.1:8011", "slurm:7", lease.ANY_TARGET, lease.MACHINE])
def test_who_takes_the_machine_needs_it_alone(tmp_path: Path, target: str) -> None:
    """Whatever the other runs on it hold a lease of; and none starts while the machine is being taken."""
    run = lease.hold_shared(target, tmp_path)
    assert run is not None
    assert lease.hold_alone(lease.MACHINE, tmp_path) is None
    run.close()
    alone = lease.hold_alone(lease.MACHINE, tmp_path)
    assert alone is not None
    assert lease.hold_shared(target, tmp_path) is None
    alone.close()


def test_who_takes_an_allocation_needs_that_alone(tmp_path: Path) -> None:
    """A run in another allocation of this node is not waited for; one that only hides its place is."""
    beside = lease.hold_shared("slurm:8", tmp_path)
    assert beside is not None
    alone = lease.hold_alone("slurm:7", tmp_path)
    assert alone is not None
    alone.close()
    hidden = lease.hold_shared(lease.ANY_TARGET, tmp_path)
    assert hidden is not None
    assert lease.hold_alone("slurm:7", tmp_path) is None
    hidden.close()
    beside.close()


def test_a_keep_of_a_part_holds_the_whole_and_the_other_way_round(tmp_path: Path) -> None:
    """But a keep of one allocation is nothing to another one, or to a Colab VM."""
    marks.keep("slurm:7", 60, "keep", folder=tmp_path)
    assert marks.kept(lease.MACHINE, folder=tmp_path)
    assert marks.kept("slurm:8", folder=tmp_path) is None
    marks.drop_keep("slurm:7", folder=tmp_path)
    marks.keep(lease.MACHINE, 60, "keep", folder=tmp_path)
    assert marks.kept("slurm:8", folder=tmp_path)
    assert marks.kept("172.28.0.1:8011", folder=tmp_path) is None
    marks.drop_keep(lease.ANY_TARGET, folder=tmp_path)
    assert marks.kept(lease.MACHINE, folder=tmp_path) is None
