"""Which tool a file belongs to, by what stands in it, and its job as a draft. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.converting.dstack import convert_dstack
from launcher.converting.secret import holds_secret
from launcher.converting.skypilot import convert_skypilot
from launcher.converting.slurm import convert_slurm
from launcher.errors import UsageError
from launcher.spec.foreign import read_foreign
from launcher.spec.tree import Mapping, Scalar
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.converting.model import Draft

_SBATCH = re.compile(r"(?m)^#SBATCH\b")
_DSTACK_TYPES = ("task", "dev-environment", "service")
_DSTACK_ONLY = (
    "commands",
    "max_duration",
    "backends",
    "fleets",
    "ide",
    "idle_duration",
    "max_price",
    "spot_policy",
)
_SKYPILOT_ONLY = ("envs", "num_nodes", "file_mounts", "setup", "run", "workdir", "resources")


def convert(
    data: bytes, name: str, classes: Collection[str], is_folder: Callable[[str], bool]
) -> tuple[str, Draft]:
    """(`slurm`, `skypilot` or `dstack`, the draft).

    Raises UsageError for what is none of them, JobFileError for what is no YAML.
    `name` is the file as the user named it; `is_folder` is asked as from the job file.
    """
    tool, draft = _convert(data, name, classes, is_folder)
    for key in ("setup", "run"):
        if holds_secret(str(draft.keys.get(key, ""))):
            draft.remark(
                key, words("A secret seems to stand in these lines: take it out, name it under `secrets`.")
            )
    return tool, draft


def _convert(
    data: bytes, name: str, classes: Collection[str], is_folder: Callable[[str], bool]
) -> tuple[str, Draft]:
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    if _SBATCH.search(text) or name.endswith((".sbatch", ".slurm", ".sh")) or text.startswith("#!"):
        if not _SBATCH.search(text):
            raise _not_known(name)
        return "slurm", convert_slurm(text.replace("\r\n", "\n"), classes, is_folder)
    root = read_foreign(data, name)
    if not isinstance(root, Mapping):
        raise _not_known(name)
    kind = root.entries.get("type")
    if name.endswith((".dstack.yml", ".dstack.yaml")) or (
        kind is not None and isinstance(kind.value, Scalar) and kind.value.text in _DSTACK_TYPES
    ):
        return "dstack", convert_dstack(root, classes, is_folder)
    if any(key in root.entries for key in _DSTACK_ONLY) and "run" not in root.entries:
        return "dstack", convert_dstack(root, classes, is_folder)
    if any(key in root.entries for key in _SKYPILOT_ONLY):
        return "skypilot", convert_skypilot(root, classes, is_folder)
    raise _not_known(name)


def _not_known(name: str) -> UsageError:
    return UsageError(
        words("{path} is no file of SkyPilot, dstack or sbatch", path=name),
        words("without --from, `colab-run init` looks at the folder"),
    )
