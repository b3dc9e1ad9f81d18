"""docs/errors.md: what every code means, from the table that `colab-run explain` shows.

python tests/docs/errors.py --write
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.append(str(ROOT))  # what is installed comes first

from launcher.report.explained import page  # noqa: E402 - as a program this file finds it by the line above

PAGE = ROOT / "docs" / "errors.md"

if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/errors.md is out of date: make errors")
