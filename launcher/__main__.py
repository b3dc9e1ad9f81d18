"""Front door of `colab-run`. Standard library only; everything else is imported when it is needed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.guard.watcher import Egg


def main(argv: list[str] | None = None) -> int:
    """Run the command line (without the program's name); the exit code. As the program it does not return.

    Python would take 50 ms to take itself apart, while a cell waits.
    """
    if argv is not None:
        return _main(argv)
    os._exit(_main(sys.argv[1:]))


def _main(words: list[str]) -> int:
    _have_standard_descriptors()
    if words[:1] == ["--version"]:
        from launcher import __version__

        print(f"colab-run {__version__}")
        return 0
    if words == ["beat"] and _beat():
        return 0
    try:
        egg = _guard_for(words)
        from launcher.cli.main import dispatch

        return dispatch(words, egg)
    except KeyboardInterrupt:
        return 130  # While we were still being imported.
    finally:
        _flush()


def _beat() -> bool:
    """The answer is nothing at all, and a loop waits for it; where it fails, the command says why."""
    from launcher import beats

    try:
        beats.touch(beats.own_path())
    except OSError:
        return False
    return True


def _guard_for(words: list[str]) -> Egg | None:
    """Before anything heavy is imported: what is forked now stays small, and starts while we read.

    None for a command that runs nothing, and where no process can be created.
    """
    from launcher.cli.line import starts_a_job, starts_a_watch

    watches = starts_a_watch(words)
    if sys.platform != "linux" or not (watches or starts_a_job(words)):
        return None
    from launcher import guarding
    from launcher.guard import watcher

    try:
        return watcher.start(guarding.watch if watches else guarding.guard)
    except OSError:
        return None


def _have_standard_descriptors() -> None:
    """Where 0, 1 or 2 is closed, the next file opened would take its number, and the job's output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _flush() -> None:
    """A reader that is gone must not turn our exit code into Python's 120."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)


if __name__ == "__main__":
    sys.exit(main())
