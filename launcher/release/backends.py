"""Which backend hands this runtime back: the one that the job file names, else the platform's own.

Imported by whoever starts a run or takes one up; a backend's module is imported when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.release import lease
from launcher.spec.model import ReleaseWith, With

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.probes.model import Platform
    from launcher.release.interface import ReleaseBackend
    from launcher.release.jupyter import Server
    from launcher.words import Text


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a backend is made of.

    `environ` is the environment of the client, `workdir` the job's folder, `secrets` the values to mask.
    `server()` finds the Jupyter server that we belong to, or says why there is none; `kernel` is the id of
    the notebook kernel that hosts the client. `noted` is what an earlier one of this run had written down.
    """

    platform: Platform
    environ: Mapping[str, str] = field(repr=False)
    workdir: str = "/"
    secrets: tuple[str, ...] = field(default=(), repr=False)
    kernel: str | None = None
    server: Callable[[], Server | Text] = field(default=lambda: "")
    noted: Mapping[str, Any] | None = None


def backend_of(how: ReleaseWith | None, around: Surroundings) -> ReleaseBackend | None:
    """What `release.with` names, or on a managed Colab VM Colab's own; None: not ours to hand back.

    What is named is made even where it cannot work: it then says so itself.
    """
    if how is None:
        return _colab(around) if around.platform.managed else None
    return _MAKERS[how.kind](how, around)


def _colab(around: Surroundings) -> ReleaseBackend:
    from launcher.release.colab import Colab

    return Colab(around.platform.release_target or "")


def _slurm(around: Surroundings) -> ReleaseBackend:
    from launcher.release.slurm import Slurm, job_of, knowing

    if around.noted is not None:
        return Slurm(str(around.noted["job"]), knowing(around.environ, around.noted))
    return Slurm(job_of(around.environ), around.environ)


def _jupyter(around: Surroundings) -> ReleaseBackend:
    from launcher.release.jupyter import JupyterServer, hub_of

    server, why = _server(around)
    hub = hub_of(around.environ)
    if around.noted is not None and (hub is None or hub.as_json() != around.noted["hub"]):
        hub = None  # Of whoever takes the run up, and not of the run.
    return JupyterServer(server, hub, why)


def _kernel(around: Surroundings) -> ReleaseBackend:
    from launcher.release.jupyter import JupyterKernel
    from launcher.words import words

    server, why = _server(around)
    kernel = str(around.noted["kernel"]) if around.noted is not None else around.kernel or ""
    none = words("this is not a cell of a notebook: there is no kernel to end")
    return JupyterKernel(server, kernel, why if kernel else none)


def _server(around: Surroundings) -> tuple[Server | None, Text]:
    from launcher.release.jupyter import Server
    from launcher.words import words

    found = around.server()
    if not isinstance(found, Server):
        return None, found
    if around.noted is not None and around.noted["server"] != found.url:
        return None, words("the Jupyter server of this run is not to be found any more")
    return found, ""


def _command(how: ReleaseWith, around: Surroundings) -> ReleaseBackend:
    from launcher.release import needed
    from launcher.release.command import Command

    environ, noted = around.environ, around.noted
    if noted is None:
        # Of this boot, as runs and their notes are: two runs with the same values are told to be alike.
        salt = lease.boot_id()
        needs = needed.digests(needed.names(how.command, environ), environ, salt)
        return Command(how.command, around.workdir, environ, around.secrets, needs, salt)
    needs, salt = noted["needs"], str(noted["salt"])
    if not isinstance(needs, dict):
        raise TypeError("the variables of a command are noted with digests")
    environ = needed.without_absent(environ, needs)
    unlike = needed.unlike(needs, environ, salt)
    return Command(how.command, str(noted["folder"]), environ, around.secrets, needs, salt, unlike)


def _poweroff(around: Surroundings) -> ReleaseBackend:
    from launcher.release.poweroff import PowerOff

    return PowerOff(around.environ)


_MAKERS: dict[With, Callable[[ReleaseWith, Surroundings], ReleaseBackend | None]] = {
    With.COLAB: lambda how, around: _colab(around),
    With.SLURM: lambda how, around: _slurm(around),
    With.JUPYTER: lambda how, around: _jupyter(around),
    With.JUPYTER_KERNEL: lambda how, around: _kernel(around),
    With.COMMAND: _command,
    With.POWEROFF: lambda how, around: _poweroff(around),
    With.NONE: lambda how, around: None,
}
