"""The one folder of this machine where all runs and releases meet, whoever they belong to."""

from __future__ import annotations

import os

# Not from TMPDIR: that differs between the users and cells that have to meet here.
FOLDER = "/tmp/colab-run.leases"  # noqa: S108 - see lease.open_folder


def has_runs() -> bool:
    """Is there a run, living or lost? Cheap: most commands of most people ask this in vain."""
    if not hasattr(os, "fork"):
        return False  # Jobs run on Linux only.
    try:
        return any(name.endswith(".run") for name in os.listdir(FOLDER))
    except OSError:
        return False
