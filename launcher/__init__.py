"""colab-run: a resource-aware job launcher and guard for rented GPU runtimes.

Public names are resolved on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

# Type checkers take this name for true, also where nothing imports it from typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.beats import beat

    __version__: str

__all__ = ["__version__", "beat"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("colab-run")
    if name == "beat":
        from launcher.beats import beat

        # Found without us from now on: it is called in loops.
        globals()["beat"] = beat
        return beat
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
