"""The installed command, as a user starts it."""

from __future__ import annotations

import sys
from pathlib import Path


def command() -> list[str]:
    """`colab-run` of the environment that runs the tests: the built wheel's, where it is installed."""
    script = Path(sys.executable).parent / "colab-run"
    if script.exists():
        return [str(script)]
    return [sys.executable, "-c", "import sys; from launcher.__main__ import main; sys.exit(main())"]
