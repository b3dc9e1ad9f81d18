"""`with: poweroff`, through stand-in executables only: no PATH here leads to one that powers anything off."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from helpers.scene import until
from launcher.release.poweroff import PowerOff
from launcher.release.program import which

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.scene import Scene

PROGRAMS = ("systemctl", "shutdown", "poweroff", "sudo")
A_LONG_TIME_S = 20.0


def nothing() -> None:
    """Nobody asks."""


class Box:
    """A machine made of files. `has` gives it a program that notes its words and ends with a code."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.log = folder / "root", folder / "bin", folder / "log"
        self.root.mkdir()
        self.bin.mkdir()
        os.symlink("/bin/sh", self.bin / "sh")
        self.namespace("pid:[4026531836]")

    def namespace(self, name: str) -> None:
        """The pid namespace that it stands in."""
        folder = self.root / "proc/self/ns"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pid").unlink(missing_ok=True)
        os.symlink(name, folder / "pid")

    def has(self, name: str, code: int = 0, said: str = "") -> None:
        path = self.bin / name
        path.write_text(f'#!{self.bin}/sh\necho {name} "$@" >> {self.log}\necho "{said}"\nexit {code}\n')
        path.chmod(0o755)

    def file(self, name: str, text: str = "") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def booted_by_systemd(self) -> None:
        (self.root / "run/systemd/system").mkdir(parents=True)

    def backend(self, *, as_root: bool = True, **environ: str) -> PowerOff:
        """What would power it off; its PATH is one folder, and none of the real programs is in that."""
        given = {"PATH": str(self.bin), **environ}
        for name in PROGRAMS:
            assert which(name, given) in (None, str(self.bin / name))
        return PowerOff(given, root=str(self.root), as_root=as_root)

    def ran(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_machine_of_ones_own_is_no_container(box: Box) -> None:
    """What the first process of a machine looks like to root, and to whoever may not read it."""
    box.has("shutdown")
    box.file("proc/1/cgroup", "0::/init.scope\n")
    assert box.backend().hopeless() is None
    box.file("proc/1/environ", "HOME=/\0TERM=linux\0not_container=1\0")
    assert (box.backend().hopeless(), box.backend().permission()) == (None, "")


def test_a_release_that_can_never_work_is_75_at_once(box: Box, scene: Scene) -> None:
    """Inside an allocation of Slurm: said before the job starts, and not asked for at its end."""
    os.symlink("/bin/bash", box.bin / "bash")
    for name in PROGRAMS:
        box.has(name)
    with scene.managed():
        job = 'run: "true"\nrelease: {with: poweroff, when: always, grace: 0s}\n'
        ended = scene.run_job(job, env={"SLURM_JOB_ID": "7", "PATH": str(box.bin)})
        assert ended.code == 75, ended.err
    assert ended.err.index("the release cannot work: this is a") < ended.err.index("succeeded")
    assert "next try" not in ended.err
    (result,) = scene.results()
    release = result["release"]
    assert (release["status"], release["reason"], release["attempts"]) == ("failed", "not-ours", 0)
    assert result["state"] == "done"
    until(lambda: not scene.leftovers(), "the end of its guard")
    assert box.ran() == []


def test_stand_in_systemctl_is_asked_where_systemd_runs_the_machine(box: Box) -> None:
    """And shutdown where it does not: there systemctl is only a file."""
    for name in ("systemctl", "shutdown", "poweroff"):
        box.has(name)
    assert str(box.backend().describe()) == "shutdown -h now"
    box.booted_by_systemd()
    backend = box.backend()
    assert (str(backend.describe()), backend.permission()) == ("systemctl poweroff", "")
    assert box.ran() == []
    assert backend.ask("n", A_LONG_TIME_S, nothing).accepted
    assert box.ran() == ["systemctl poweroff"]


def test_stand_in_that_fails_hands_over_to_the_next(box: Box) -> None:
    """The first that ends with 0 counts; if none does, the last one's words are told."""
    box.booted_by_systemd()
    box.has("systemctl", 1, "Failed to power off system via logind: There's already a shutdown")
    box.has("shutdown", 0)
    assert box.backend().ask("n", A_LONG_TIME_S, nothing).accepted
    assert box.ran() == ["systemctl poweroff", "shutdown -h now"]
    box.has("shutdown", 1, "not permitted")
    answer = box.backend().ask("n", A_LONG_TIME_S, nothing)
    assert (answer.accepted, answer.reason, answer.said, answer.firm) == (
        False,
        "exit-1",
        "not permitted",
        True,
    )


def test_stand_in_sudo_is_used_without_root(box: Box) -> None:
    """Whether it may, is asked without doing it; a sudo that wants a password is no way."""
    box.has("shutdown")
    box.has("sudo", 0)
    backend = box.backend(as_root=False)
    assert backend.permission() == ""
    assert box.ran() == ["sudo -n -l shutdown -h now"]
    assert backend.ask("n", A_LONG_TIME_S, nothing).accepted
    assert box.ran()[1:] == ["sudo -n shutdown -h now"]
    box.has("sudo", 1, "a password is required")
    assert "takes root" in str(box.backend(as_root=False).permission())
    (box.bin / "sudo").unlink()
    assert "takes root" in str(box.backend(as_root=False).permission())


CONTAINERS = {
    "docker": lambda box: box.file(".dockerenv"),
    "podman": lambda box: box.file("run/.containerenv"),
    "nspawn": lambda box: box.file("run/systemd/container", "systemd-nspawn"),
    "kubernetes": lambda box: box.file("proc/1/cgroup", "0::/kubepods/burstable/pod1\n"),
    "lxc": lambda box: box.file("proc/1/cgroup", "1:name=systemd:/lxc/one\n"),
    "a cgroup namespace of its own": lambda box: (
        box.file("proc/1/cgroup", "0::/\n"),
        box.namespace("pid:[4026532281]"),
    ),
    "what says so to its first process": lambda box: box.file("proc/1/environ", "A=b\0container=lxc\0"),
    "no /proc": lambda box: (box.root / "proc/self/ns/pid").unlink(),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_stand_in_is_not_asked_inside_a_container(box: Box, kind: str) -> None:
    """Said before the job starts, and refused once more at its end: it might be the host's."""
    box.has("shutdown")
    CONTAINERS[kind](box)
    backend = box.backend()
    assert "container" in str(backend.permission())
    assert (backend.hopeless() or ("",))[0] == "not-ours"
    assert backend.ask("n", A_LONG_TIME_S, nothing)[:2] == (None, "not-ours")
    assert box.ran() == []


@pytest.mark.parametrize(
    "environ", [{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"APPTAINER_NAME": "x"}, {"SLURM_JOB_ID": "7"}]
)
def test_stand_in_is_not_asked_where_the_environment_speaks_against_it(
    box: Box, environ: dict[str, str]
) -> None:
    """A pod, a container of a cluster, a node that others work on."""
    box.has("shutdown")
    backend = box.backend(**environ)
    assert str(backend.permission())
    assert (backend.hopeless() or ("",))[0] == "not-ours"
    assert not backend.ask("n", A_LONG_TIME_S, nothing).accepted
    assert box.ran() == []


def test_stand_in_that_hangs_leaves_time_for_the_next(box: Box) -> None:
    """All of them together keep the deadline of one attempt."""
    box.booted_by_systemd()
    (box.bin / "systemctl").write_text(f"#!{box.bin}/sh\nwhile :; do :; done\n")
    (box.bin / "systemctl").chmod(0o755)
    box.has("shutdown")
    assert box.backend().ask("n", 8, nothing).accepted
    assert box.ran() == ["shutdown -h now"]


def test_nothing_there_is_said(box: Box) -> None:
    """No program at all."""
    assert "none of systemctl, shutdown, poweroff" in str(box.backend().permission())
    assert box.backend().ask("n", A_LONG_TIME_S, nothing).reason == "no-program"
