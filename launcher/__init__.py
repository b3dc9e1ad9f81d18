"""colab-run: a resource-aware job launcher and guard for rented GPU runtimes.

Public names are resolved on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("colab-run")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
