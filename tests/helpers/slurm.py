"""A real Slurm of one node on 127.0.0.1, in a folder of its own: munged, slurmctld and slurmd, as root.

    with Slurm(folder) as slurm:
        job = slurm.submit("sleep 100")
        slurm.wait_for(job, "RUNNING")

Needs the Debian packages slurm-wlm and munge; `missing()` says what is not there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from helpers.lab import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
SBIN = "/usr/sbin:/sbin"

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
KillWait=2
MinJobAge=60
FirstJobId={first}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=60 State=UP OverSubscribe=FORCE:8
"""


def missing() -> str:
    """Why there can be no Slurm here; empty if there can."""
    if os.geteuid() != 0:
        return "a Slurm of our own needs root"
    absent = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}") is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install --no-install-recommends slurm-wlm munge"
    return ""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Slurm:
    """`with Slurm(folder)`: a cluster; `env` is what its commands and its jobs see."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    _daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        for name in ("state", "spool", "seed"):
            (self.folder / name).mkdir()
        conf = self.folder / "slurm.conf"
        host = socket.gethostname().split(".")[0]
        self._host = host
        conf.write_text(
            CONF.format(
                host=host,
                ctld=free_port(),
                slurmd=free_port(),
                folder=self.folder,
                cpus=len(os.sched_getaffinity(0)),
                # What an earlier cluster's runs left beside the leases is not about this one's jobs.
                first=int.from_bytes(os.urandom(3), "big") + 1,
            )
        )
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        # Munge does not trust a folder that others may write to.
        self.folder.chmod(0o755)
        path = f"{os.environ['PATH']}:{SBIN}"
        self.env = {**self.env, "PATH": path, "SLURM_CONF": str(conf)}

    def __enter__(self) -> Slurm:
        folder, conf = self.folder, str(self.folder / "slurm.conf")
        try:
            self._start(
                "munged",
                "--foreground",
                "--force",
                f"--key-file={folder}/munge.key",
                f"--socket={folder}/munge.socket",
                f"--pid-file={folder}/munged.pid",
                f"--log-file={folder}/munged.log",
                f"--seed-file={folder}/seed/munged.seed",
            )
            until(lambda: (folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D", "-c", "-f", conf)
            self._start("slurmd", "-D", "-f", conf, "-N", self._host)
            until(self._is_up, f"an idle node; logs in {folder}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError, subprocess.SubprocessError):
            jobs = self.call("squeue", "--noheader", "--format=%A").split()
            if jobs:
                self.call("scancel", "--signal=KILL", *jobs)
                self.call("scancel", *jobs)
                until(lambda: not self.call("squeue", "--noheader", "--format=%A").split(), "no jobs")
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _start(self, *argv: str) -> None:
        with open(self.folder / f"{argv[0]}.out", "wb") as out:
            self._daemons.append(
                subprocess.Popen(
                    argv, env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
                )
            )

    def _is_up(self) -> bool:
        for daemon in self._daemons:
            assert daemon.poll() is None, f"{daemon.args} has ended; see {self.folder}"
        try:
            return self.call("sinfo", "--noheader", "--format=%T").strip() == "idle"
        except subprocess.SubprocessError:
            return False

    def call(self, *argv: str) -> str:
        """What a command of Slurm says. Raises CalledProcessError."""
        return subprocess.run(
            argv, env=self.env, check=True, capture_output=True, text=True, timeout=30
        ).stdout

    def submit(self, script: str, *options: str, env: Mapping[str, str] | None = None) -> str:
        """A batch job of this bash script; its number. Its output is in `folder/NUMBER.out`."""
        given = {**self.env, **(env or {})}
        given["PATH"] = self.env["PATH"]
        done = subprocess.run(
            ["sbatch", "--parsable", f"--output={self.folder}/%A.out", f"--chdir={self.folder}", *options],
            input=f"#!/bin/bash\n{script}\n",
            env=given,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout.strip().partition(";")[0]

    def output(self, job: str) -> str:
        """What the job has said so far."""
        try:
            return (self.folder / f"{job}.out").read_text()
        except OSError:
            return ""

    def state(self, job: str) -> str:
        """The state of a job or of one element of an array, as `scontrol` has it."""
        told = self.call("scontrol", "--oneliner", "show", "job", job)
        return told.partition("JobState=")[2].partition(" ")[0]

    def wait_for(self, job: str, *states: str) -> str:
        """Its state, once it is one of these."""
        return until(
            lambda: self.state(job) if self.state(job) in states else "",
            f"job {job} {' or '.join(states)}; it is {self.state(job)}: {self.output(job)}",
        )
