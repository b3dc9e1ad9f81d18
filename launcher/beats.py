"""The heartbeat of a job: `launcher.beat()` in its loop says that it goes on, whatever else looks idle.

Standard library only: a job imports it. A beat is the time of a file, `beat` in the run's folder, or in no
run one for each user in the folder where all runs of this machine meet.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The same as launcher.release.place.FOLDER, which is not ours to import.
FOLDER = "/tmp/colab-run.leases"  # noqa: S108 - see touch
# Of how many beats one is written: nobody looks more often.
EVERY_S = 1.0

_due = 0.0
_warned = False


def beat() -> None:
    """Say that this job is alive: from a loop, as often as you like. Never raises, never waits.

    A beat that cannot be written is warned about, once.
    """
    global _due
    now = time.monotonic()
    if now < _due:
        return
    _due = now + EVERY_S
    try:
        touch(own_path())
    except (OSError, ValueError) as error:
        # As an error (python -W error) it is not raised either.
        with suppress(Warning):
            _warn(str(error))


def _warn(why: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"colab-run: no heartbeat can be written: {why}", RuntimeWarning, stacklevel=3)


def own_path() -> str:
    """The file of this process's heartbeats."""
    return path_of_beat(os.environ, os.getuid() if hasattr(os, "getuid") else 0)


def path_of_beat(environ: Mapping[str, str], uid: int) -> str:
    """The file that is touched: that of the run in whose environment we are, else the user's."""
    run_dir = environ.get("COLAB_RUN_DIR", "")
    return os.path.join(run_dir, "beat") if run_dir else os.path.join(FOLDER, f"{uid}.beat")


def touch(path: str, shared: str = FOLDER) -> str:
    """Make the file, or give it the time of now; never through a link. Raises OSError.

    The folder `shared`, where all meet, is made if it is not there, writable for all users (sticky). Where
    somebody else has made what lies at `path` there, a file that is called so, a dot and more stands in for
    it. Returns the path of the file.
    """
    if not hasattr(os, "O_NOFOLLOW"):
        raise OSError(f"jobs run on Linux, and this is {sys.platform}")
    folder, name = os.path.split(path)
    in_shared = folder == shared
    opened = (
        _open_shared(folder) if in_shared else os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    )
    try:
        if in_shared and not _is_free(name, opened):
            name = _stand_in(name, opened)
        _touch(name, opened, path)
    finally:
        os.close(opened)
    return os.path.join(folder, name)


def _touch(name: str, folder: int, path: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o644, dir_fd=folder)
    try:
        # What another user made here might be a device or a pipe.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no regular file")
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def _is_free(name: str, folder: int) -> bool:
    """Is there nothing yet, or a file of ours?"""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _stand_in(name: str, folder: int) -> str:
    """A file of ours that stands in for `name`: the one that there is, or a name that nobody can foresee."""
    for other in os.listdir(folder):
        if other.startswith(f"{name}.") and _is_free(other, folder):
            return other
    return f"{name}.{os.urandom(8).hex()}"


def _open_shared(folder: str) -> int:
    made = False
    with suppress(FileExistsError):
        os.mkdir(folder, 0o1777)
        made = True
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if made:
        # Not by the umask, which is the whole process's: other threads of the job make files, too.
        with suppress(OSError):
            os.fchmod(opened, 0o1777)
    return opened


# --- callbacks ------------------------------------------------------------------------------------


def trainer_callback() -> Any:
    """For Hugging Face: `Trainer(…, callbacks=[launcher.beats.trainer_callback()])`."""
    base = _base(("transformers",), "TrainerCallback")
    return _beating(base, trainer_callback, ("on_substep_end", "on_step_end", "on_prediction_step"))


def lightning_callback() -> Any:
    """For Lightning: `Trainer(callbacks=[launcher.beats.lightning_callback()])`, of either package."""
    base = _base(("lightning.pytorch", "pytorch_lightning"), "Callback")
    steps = ("train", "validation", "test", "predict")
    return _beating(base, lightning_callback, tuple(f"on_{step}_batch_end" for step in steps))


def keras_callback() -> Any:
    """For Keras: `model.fit(…, callbacks=[launcher.beats.keras_callback()])`."""
    base = _base(("keras.callbacks", "tf_keras.callbacks"), "Callback")
    steps = ("train", "test", "predict")
    return _beating(base, keras_callback, tuple(f"on_{step}_batch_end" for step in steps))


def _base(modules: tuple[str, ...], name: str) -> type:
    """The class to build on, of the first module that the job has imported, else that is installed."""
    for module in sorted(modules, key=lambda module: module.partition(".")[0] not in sys.modules):
        try:
            found: type = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise  # It is there; something that it needs is not.
        else:
            return found
    raise ModuleNotFoundError(f"none of these is installed: {', '.join(modules)}")


def _beating(base: type, maker: Callable[[], Any], events: tuple[str, ...]) -> Any:
    """A callback that beats at these events and does nothing else."""

    def on_event(*_args: Any, **_kwargs: Any) -> None:
        beat()

    def reduce(_self: object) -> tuple[Any, ...]:
        return maker, ()  # To a process that is spawned it goes as what makes it.

    return type("BeatCallback", (base,), {**dict.fromkeys(events, on_event), "__reduce__": reduce})()
