"""The names that SkyPilot and dstack users know: which are read here, and as what. Pure tables.

A key that is read as another one is renamed in the tree before anything else looks at it, so that
duplicates, overrides and types have one name to think about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.spec.report import Report
    from launcher.spec.tree import Entry, Mapping

# Path of the mapping → their name → ours.
ALIASES: dict[str, dict[str, str]] = {
    "": {"envs": "env", "commands": "run"},
    "resources": {"accelerators": "gpu", "memory": "ram", "disk_size": "disk", "cpu": "cpus"},
}

# Read as `release: {when: idle, after: …}`; their bare number counts in the unit given here.
IDLE_ALIASES = {"autostop": "m", "idle_duration": "s"}

# What a person who wrote this meant; near matches by letters find the rest.
MEANT = {
    "cmd": "run",
    "command": "run",
    "script": "run",
    "entrypoint": "run",
    "environment_variables": "env",
    "max_time": "max_duration",
    "time": "max_duration",
    "timeout": "max_duration",
    "results": "outputs",
    "restart": "retry",
    "vram": "gpu",
    "storage": "disk",
}

_ONE_MACHINE = "remove it: a job file describes one machine, the one that it is run on"
_FOUND_NOT_RENTED = "remove it: colab-run runs on a machine that is there already, and rents none"
_FILES = "remove it: the job runs where its files are; say where the results go with `outputs`"
_NO_IMAGE = "remove it: the job runs in the runtime as it is; install what it needs in `setup`"
_NO_SERVICE = "remove it: a job runs to its end and serves nothing"
_ALTERNATIVES = "list the classes that will do, as in `gpu: [L4, A100]`"

FOREIGN: dict[str, str] = {
    **dict.fromkeys(("num_nodes", "nodes"), _ONE_MACHINE),
    **dict.fromkeys(("file_mounts", "storage_mounts", "inputs", "volumes", "repos", "files"), _FILES),
    **dict.fromkeys(("image", "image_id", "python", "registry_auth", "docker", "nvcc"), _NO_IMAGE),
    **dict.fromkeys(("ide", "port", "ports", "service", "replicas", "model"), _NO_SERVICE),
    **dict.fromkeys(
        (
            "infra",
            "cloud",
            "region",
            "regions",
            "zone",
            "instance_type",
            "instance_types",
            "backends",
            "fleets",
        ),
        _FOUND_NOT_RENTED,
    ),
    **dict.fromkeys(
        ("availability_zones", "use_spot", "spot_policy", "creation_policy", "reservation", "network_tier"),
        _FOUND_NOT_RENTED,
    ),
    **dict.fromkeys(("any_of", "ordered"), _ALTERNATIVES),
    "type": "remove it: every job file is one task",
    "max_price": "use `budget` to limit what a job may cost",
    "working_dir": "use `workdir`",
    "environment": "use `env`",
    "stop_duration": "use `stop_grace`",
    "utilization_policy": "use `idle` to say what happens to a job that shows no sign of life",
    "inactivity_duration": "use `release` to say when the runtime is handed back",
    "job_recovery": "use `retry`",
    "shm_size": "remove it: shared memory is what the runtime has",
    "priority": "remove it: nothing is queued here",
    "user": "remove it: the job runs as the user who starts it",
    "privileged": "remove it: the job runs with the rights of the user who starts it",
    "experimental": "remove it: there are no such settings",
    "config": "remove it: there are no such settings",
    "labels": "remove it: use `name` to recognise a job",
    "tags": "remove it: use `name` to recognise a job",
}

FOREIGN_GPU: dict[str, str] = {
    "name": "write the class alone, as in `gpu: A100:2`, or the properties without it",
    "vendor": "remove it: GPUs are NVIDIA's here",
    "total_memory": "use `memory`, which is that of one GPU",
}


def rename(mapping: Mapping, path: str, report: Report) -> None:
    """Give the entries of the mapping at `path` our names; two that then have one name are a problem."""
    renamed: dict[str, Entry] = {}
    for entry in mapping.entries.values():
        entry.name = canonical(path, entry.written)
        first = renamed.setdefault(entry.name, entry)
        if first is not entry:
            where = f"{path}.{entry.written}" if path else entry.written
            report.add("conflict", entry.key, where, other=first.written, line=first.key.line)
    mapping.entries = renamed


def canonical(path: str, written: str) -> str:
    """Our name for a key that was written in the mapping at `path`."""
    return ALIASES.get(path, {}).get(written, written)
