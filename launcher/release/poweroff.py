"""Release by powering the machine off: for a machine of one's own, or one that costs nothing while it is off.

Not inside a container (that would be the host's, or nothing at all) and not inside a Slurm allocation (the
node is everybody's). Both are looked at again before each attempt.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.release.interface import STILL_HERE, Answer
from launcher.release.program import run, which
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.values import Reading
    from launcher.words import Text

_LOOK_S = 5.0
# Only where systemd is what runs the machine does systemctl do anything.
_SYSTEMD = "run/systemd/system"
_WAYS: tuple[tuple[str, ...], ...] = (("systemctl", "poweroff"), ("shutdown", "-h", "now"), ("poweroff",))
_CONTAINER_FILES = (".dockerenv", "run/.containerenv", "run/systemd/container")
_CONTAINER_VARIABLES = ("KUBERNETES_SERVICE_HOST", "SINGULARITY_NAME", "APPTAINER_NAME", "container")
_CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "lxc", "libpod")
# The number of the first one (PROC_PID_INIT_INO): whoever stands in another is inside of something.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


@dataclass(frozen=True, slots=True)
class PowerOff:
    """The machine whose files are under `root`; programs are looked up by the PATH of `environ` only."""

    environ: Mapping[str, str] = field(repr=False)
    root: str = "/"
    as_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    name: str = "poweroff"
    patience: float = 3.0
    ends_the_bill: bool = True
    brings: tuple[int, ...] = (signal.SIGTERM,)

    @property
    def way(self) -> str:
        """There is one machine."""
        return self.name

    def describe(self) -> Text:
        """The command that is tried first."""
        ways = self._ways()
        return " ".join(ways[0] if ways else _WAYS[0])

    def hopeless(self) -> tuple[str, Text] | None:
        """Whose machine it is does not change while we wait."""
        problem = self._not_ours()
        return ("not-ours", problem) if problem else None

    def permission(self) -> Text:
        """Is the machine ours to power off, and may we?"""
        problem = self._not_ours()
        if problem:
            return problem
        ways = self._ways()
        if not ways:
            return words("none of {programs} is on the PATH", programs="systemctl, shutdown, poweroff")
        if not self.as_root and run(["sudo", "-n", "-l", *ways[0][2:]], self.environ, _LOOK_S).code != 0:
            return words("powering off takes root, or a sudo that asks for no password")
        return ""

    def _not_ours(self) -> Text:
        if any(self.environ.get(name) for name in _CONTAINER_VARIABLES) or self._in_container():
            return words("this is a container: powering off is not its to do")
        if self.environ.get("SLURM_JOB_ID"):
            return words("this is a node of Slurm, and others may be at work on it: use release.with: slurm")
        return ""

    def _in_container(self) -> bool:
        if any(os.path.exists(os.path.join(self.root, name)) for name in _CONTAINER_FILES):
            return True
        if any(name in self._read("proc/1/cgroup") for name in _CONTAINER_GROUPS):
            return True
        if any(entry.startswith("container=") for entry in self._read("proc/1/environ").split("\0")):
            return True
        try:
            # With a cgroup namespace of its own a container sees `0::/`, as the machine does.
            return os.readlink(os.path.join(self.root, "proc/self/ns/pid")) != _FIRST_PID_NAMESPACE
        except OSError:
            return True

    def _read(self, name: str) -> str:
        """What the file holds; nothing where it cannot be read, as root's cannot by others."""
        try:
            with open(os.path.join(self.root, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def _ways(self) -> list[tuple[str, ...]]:
        """What there is on this machine, best first."""
        booted = os.path.isdir(os.path.join(self.root, _SYSTEMD))
        there = (way for way in _WAYS if which(way[0], self.environ) is not None)
        ways: list[tuple[str, ...]] = [way for way in there if booted or way[0] != "systemctl"]
        return ways if self.as_root else [("sudo", "-n", *way) for way in ways]

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """The first of the commands that ends with 0; all of them together take `deadline_s` at most."""
        if self._not_ours():
            return Answer(None, "not-ours", firm=True)
        ways = self._ways()
        answer = Answer(None, "no-program", firm=True)
        for way in ways:
            ran = run(way, self.environ, deadline_s / len(ways), meanwhile=meanwhile)
            answer = Answer(None, ran.reason, accepted=ran.code == 0, firm=ran.code == 1, said=ran.said)
            if answer.accepted:
                break
        return answer

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """We go with it."""
        return STILL_HERE

    def as_json(self) -> dict[str, Any]:
        """Nothing else is needed."""
        return {"name": self.name}
