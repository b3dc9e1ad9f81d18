"""Is everything there that the job will use: packages, files, hosts, inputs, a wheel that fits the GPU?

Children look while the machine is probed, each with a deadline; a job that asks for none of it starts none.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.catalog.files import find_configs
from launcher.catalog.wheels import load_wheels
from launcher.children import Child, Failed
from launcher.places import DRIVE, is_under, resolve
from launcher.probes import inputs as probe_inputs
from launcher.probes.nvml import gpu_is_likely
from launcher.probes.packages import DEADLINE_S, ask_python, facts_of, python_of
from launcher.spec.model import Argv, GpuNone, Script
from launcher.values import Known, Unknown, format_size
from launcher.verdict.conditions import (
    judge_file,
    judge_host,
    judge_hosts_unknown,
    judge_input,
    judge_package,
    judge_room,
    judge_ruling,
    on_drive,
)
from launcher.verdict.model import Status
from launcher.verdict.versions import name_of
from launcher.verdict.wheels import FAMILIES, PACKAGES, Fault, judge_wheel, wheels_of
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from launcher.probes.model import PythonFacts, RuntimeFacts
    from launcher.spec.model import JobSpec
    from launcher.values import Reading
    from launcher.verdict.model import Finding
    from launcher.verdict.wheels import Ruling, Wheel
    from launcher.words import Text

SHM = "/dev/shm"  # noqa: S108 - the folder itself is looked at
# Containers get 64 MB unless told otherwise; loaders that hand batches over by it need far more.
SMALL_SHM = 10**9
# A child's own deadline, and what it may take to start and answer.
_SLACK_S = 0.5
_SCRIPT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Ready:
    """What was found: rows for the verdict, and sentences that block nothing."""

    findings: tuple[Finding, ...] = ()
    hints: tuple[Text, ...] = ()


@dataclass(slots=True)
class Looking:
    """Children at work for one job, from `start` to `finish` (or `drop`)."""

    spec: JobSpec
    environ: Mapping[str, str]
    names: tuple[str, ...] = ()
    python: str | None = None
    sure: bool = True
    paths: tuple[str, ...] = ()
    _begun: float = field(default_factory=time.monotonic)
    _children: dict[str, Child] = field(default_factory=dict)

    @classmethod
    def start(cls, spec: JobSpec, environ: Mapping[str, str], *, for_gpu: bool = False) -> Looking:
        """Begin to look for what this job asks for; never raises for what is missing.

        `for_gpu`: only for wheels, and those whatever this machine has.
        """
        looking = cls(spec, environ)
        looking._ask_python(for_gpu=for_gpu)
        if for_gpu:
            return looking
        checks = spec.checks
        if checks.network:
            from launcher.probes import network  # sockets and threads, which most jobs do without

            looking._begin("network", lambda: network.reach(checks.network))
        looking.paths = tuple(
            resolve(path, spec.workdir) for path in (*checks.files, *(one.path for one in spec.inputs))
        )
        if looking.paths:
            sized = [False] * len(checks.files) + [one.size_bytes is not None for one in spec.inputs]
            looking._begin("paths", lambda: probe_inputs.look(looking.paths, sized))
        if any(one.room_bytes for one in spec.inputs):
            looking._begin("disk", lambda: _disk(spec.workdir))
        return looking

    def _ask_python(self, *, for_gpu: bool) -> None:
        wanted = [name_of(one) for one in self.spec.checks.packages]
        gpu = not isinstance(self.spec.resources.gpu, GpuNone) and (for_gpu or gpu_is_likely(self.environ))
        wheels = PACKAGES if gpu or wanted or _shm_bytes() < SMALL_SHM else ()
        self.names = tuple(dict.fromkeys((*wanted, *wheels)))
        if not self.names:
            return
        environ = {**self.environ, **dict(self.spec.env)}
        run = self.spec.run
        script = run.text if isinstance(run, Script) else ""
        argv = run.words if isinstance(run, Argv) else ()
        self.python, self.sure = python_of(argv, script, environ, self.spec.workdir)
        if (python := self.python) is not None:
            self._begin("python", lambda: ask_python(python, self.names, environ))

    def _begin(self, what: str, look: Callable[[], Any]) -> None:
        try:
            self._children[what] = Child(look)
        except OSError:
            pass  # `_answer` says that nobody looked

    def wheel_hints(self, facts: RuntimeFacts) -> tuple[Text, ...]:
        """Of the installed wheels what would not work on the GPU of `facts`."""
        try:
            python = self._python()
            if not isinstance(python, Known):
                return ()
            said = self._mentioned()
            found = rulings(python.value, facts, self.environ)
            return tuple(
                one.text
                for one, matters in found
                if (matters or one.wheel.family in said) and one.fault is not Fault.NOT_KNOWN
            )
        finally:
            self.drop()

    def finish(self, facts: RuntimeFacts) -> Ready:
        """Wait for the children and judge what they found. Raises UsageError for a broken wheels.yaml."""
        try:
            python = self._python()
            found: list[Finding] = []
            hints: list[Text] = []
            self._packages(python, found, hints)
            self._wheels(python, facts, found, hints)
            found += self._paths(facts)
            room = self._room(facts)
            found += [room] if room is not None else []
            found += self._hosts()
            return Ready(tuple(found), tuple(hints))
        finally:
            self.drop()

    def drop(self) -> None:
        """End what is still at work."""
        while self._children:
            self._children.popitem()[1].end()

    def _answer(self, what: str, deadline_s: float) -> Reading[Any]:
        child = self._children.pop(what, None)
        if child is None:
            return Failed("failed", "no child")
        in_time = child.done(self._begun + deadline_s + _SLACK_S - time.monotonic())
        answer = child.end()
        return answer if in_time else Unknown("timeout")

    # --- packages and wheels ----------------------------------------------------------------------

    def _python(self) -> Reading[PythonFacts]:
        if self.python is None:
            return Unknown("no-python")
        return facts_of(self._answer("python", DEADLINE_S), self.names)

    def _packages(self, python: Reading[PythonFacts], found: list[Finding], hints: list[Text]) -> None:
        for requirement in self.spec.checks.packages:
            if not self.sure or (isinstance(python, Unknown) and self.spec.setup is not None):
                hints.append(
                    words(
                        "{package} was not looked for: which Python `run` uses is not known",
                        package=requirement,
                    )
                )
                continue
            finding = judge_package(requirement, python)
            # What `setup` is there to install cannot be missing before it.
            if finding.status is Status.SHORT and self.spec.setup is not None:
                hints.append(
                    words("{package} is not here yet: `setup` has to install it", package=requirement)
                )
            else:
                found.append(finding)

    def _wheels(
        self,
        python: Reading[PythonFacts],
        facts: RuntimeFacts,
        found: list[Finding],
        hints: list[Text],
    ) -> None:
        if not isinstance(python, Known) or not any(python.value.versions.get(name) for name in PACKAGES):
            return
        hints += _shm_hint(python.value)
        if isinstance(self.spec.resources.gpu, GpuNone):
            return
        named = {name_of(one) for one in self.spec.checks.packages}
        said = self._mentioned()
        for ruling, matters in rulings(python.value, facts, self.environ):
            if ruling.wheel.family in named or ruling.wheel.package in named:
                if ruling.stops and self._insists(ruling):
                    found.append(judge_ruling(ruling))
                else:
                    hints.append(ruling.text)
            elif (matters or ruling.wheel.family in said) and ruling.fault is not Fault.NOT_KNOWN:
                hints.append(ruling.text)

    def _insists(self, ruling: Ruling) -> bool:
        """`setup` may bring another wheel; and a job that asks for no GPU may do without one."""
        asks = self.spec.resources.gpu is not None or ruling.fault is not Fault.CPU_ONLY
        return asks and self.spec.setup is None

    def _mentioned(self) -> set[str]:
        """The families that the command, or the Python file that it names, speaks of."""
        run = self.spec.run
        text = run.text if isinstance(run, Script) else " ".join(run.words)
        for name in re.findall(r"[^\s;|&'\"]+\.py\b", text)[:3]:
            try:
                with open(resolve(name, self.spec.workdir), encoding="utf-8", errors="replace") as file:
                    text += "\n" + file.read(_SCRIPT_BYTES)
            except OSError:
                pass
        return {family for family in FAMILIES if re.search(rf"\b{family}\b", text)}

    # --- files, room, hosts -----------------------------------------------------------------------

    def _paths(self, facts: RuntimeFacts) -> list[Finding]:
        if not self.paths:
            return []
        rows = probe_inputs.facts_of(self.paths, self._answer("paths", probe_inputs.DEADLINE_S))
        files = self.spec.checks.files
        found = [judge_file(path, row) for path, row in zip(files, rows, strict=False)]
        found += [
            judge_input(wanted, row) for wanted, row in zip(self.spec.inputs, rows[len(files) :], strict=True)
        ]
        mounted = facts.platform.drive_mounted
        return [
            on_drive(one) if one.found == "missing" and not mounted and is_under(path, DRIVE) else one
            for one, path in zip(found, self.paths, strict=True)
        ]

    def _room(self, facts: RuntimeFacts) -> Finding | None:
        if not any(one.room_bytes for one in self.spec.inputs):
            return None
        answer = self._answer("disk", probe_inputs.DEADLINE_S)
        spec = self.spec
        if isinstance(answer, Unknown):
            free = Unknown("disk-timeout" if answer.reason == "timeout" else "disk-unreadable")
            return judge_room(spec.inputs, 0, free)
        device, bytes_free = answer.value
        same = _device_of(facts.host.disk_path) == device
        asked = spec.resources.disk_bytes or 0
        return judge_room(spec.inputs, asked if same else 0, Known(int(bytes_free)))

    def _hosts(self) -> list[Finding]:
        asked = self.spec.checks.network
        if not asked:
            return []
        from launcher.probes import network

        answer = self._answer("network", network.DEADLINE_S)
        if isinstance(answer, Unknown):
            return [judge_hosts_unknown(network.shown(entry), answer.reason) for entry in asked]
        return [judge_host(row) for row in network.answers(answer.value)]


def rulings(
    python: PythonFacts, facts: RuntimeFacts, environ: Mapping[str, str]
) -> list[tuple[Ruling, bool]]:
    """What is wrong with each installed wheel on this machine's GPUs, and whether it concerns every job.

    It does where no other family that is installed would work: whoever uses a GPU meets it.
    """
    gpus = facts.gpu.gpus
    if not isinstance(gpus, Known) or not gpus.value:
        return []
    capabilities = [one.compute_capability for one in gpus.value]
    known = [one.value for one in capabilities if isinstance(one, Known)]
    table = load_wheels(find_configs(environ))
    judged: list[tuple[Wheel, Ruling | None]] = [
        (wheel, judge_wheel(wheel, known, facts.gpu.driver, table)) for wheel in wheels_of(python, table)
    ]
    fine = any(ruling is None or ruling.fault is Fault.NOT_KNOWN for _, ruling in judged)
    return [(ruling, not fine) for _, ruling in judged if ruling is not None]


def _shm_hint(python: PythonFacts) -> list[Text]:
    """A small /dev/shm, where torch is installed: its loaders hand batches over by it."""
    size = _shm_bytes()
    if not python.versions.get("torch") or size >= SMALL_SHM:
        return []
    return [
        words(
            "{folder} has only {size}: a DataLoader with workers may fail with a bus error (start the "
            "container with {option}, or use num_workers=0)",
            folder=SHM,
            size=format_size(int(size)),
            option="--shm-size=8g",
        )
    ]


def _shm_bytes() -> float:
    """The size of /dev/shm; infinite where there is none."""
    try:
        status = os.statvfs(SHM)
    except OSError:
        return float("inf")
    return status.f_blocks * status.f_frsize or float("inf")


def _disk(workdir: str) -> list[int]:
    """[device, bytes free] where the job works. For a child: a dead mount keeps who asks."""
    status = os.statvfs(workdir)
    return [os.stat(workdir).st_dev, status.f_bavail * status.f_frsize]


def _device_of(path: str) -> int | None:
    """Of the nearest folder that is there; the probe has measured it, so it answers."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        return os.stat(path).st_dev
    except OSError:
        return None
