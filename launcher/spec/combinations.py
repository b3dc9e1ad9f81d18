"""The runs of a `matrix:`, one for each combination of its values. Pure.

A combination is what `--set` would be given: pairs of key and text, in the order of the file.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from launcher.spec.model import GpuAny, GpuClasses, GpuProperties

if TYPE_CHECKING:
    from launcher.spec.model import JobSpec, Matrix, Output, Resources

Combination = tuple[tuple[str, str], ...]
# What a job sees of its combination.
VARIABLE = "COLAB_RUN_MATRIX"
LONGEST_NAME = 100
# A folder's name ends at 255 bytes.
LONGEST_FOLDER = 180
# What a folder's name may be made of as it is; everything else is written %XX.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=")
_FOLDERS_SEPARATOR = ","


def combinations(matrix: Matrix) -> tuple[Combination, ...]:
    """All of them, the last axis fastest."""
    keys = [key for key, _ in matrix.axes]
    return tuple(tuple(zip(keys, values, strict=True)) for values in product(*(v for _, v in matrix.axes)))


def short_names(combination: Combination) -> list[tuple[str, str]]:
    """Each key by its last part, where that is no other key's too."""
    lasts = [key.rpartition(".")[2] for key, _ in combination]
    return [
        (last if lasts.count(last) == 1 else key, text)
        for last, (key, text) in zip(lasts, combination, strict=True)
    ]


def label(combination: Combination) -> str:
    """`LR=0.1 SEED=2`."""
    return " ".join(f"{key}={text}" for key, text in short_names(combination))


def folder_of(combination: Combination, number: int) -> str:
    """`LR=0.1,SEED=2`: a folder's name that no other combination of the matrix has.

    `number` counts from 1; where the values are too long for a name it is `run-1`.
    """
    pairs = (f"{_quoted(key)}={_quoted(text)}" for key, text in short_names(combination))
    name = _FOLDERS_SEPARATOR.join(pairs)
    return name if len(name) <= LONGEST_FOLDER else f"run-{number}"


def _quoted(text: str) -> str:
    return "".join(one if one in _PLAIN else "".join(f"%{byte:02X}" for byte in one.encode()) for one in text)


def as_run(spec: JobSpec, combination: Combination, number: int) -> JobSpec:
    """The job of one combination: `spec` was read with it. Its results go into a folder of their own."""
    folder = folder_of(combination, number)
    told = json.dumps(dict(combination), ensure_ascii=False)
    return replace(
        spec,
        name=_name(spec.name, combination, number),
        env=(*(pair for pair in spec.env if pair[0] != VARIABLE), (VARIABLE, told)),
        outputs=tuple(_in_folder(output, folder) for output in spec.outputs),
        matrix=None,
    )


def _name(name: str, combination: Combination, number: int) -> str:
    """A name has no `/` and no control character, and an end."""
    whole = f"{name} {label(combination)}"
    whole = "".join("_" if one == "/" or not one.isprintable() else one for one in whole)
    return whole if len(whole) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 8]} #{number}"


def _in_folder(output: Output, folder: str) -> Output:
    """A command has no folder: it can read the variable."""
    if output.to.startswith("command:"):
        return output
    return replace(output, to=f"{output.to.rstrip('/')}/{folder}")


def gpus_of(resources: Resources) -> int:
    """How many GPUs one run needs; 0 for none."""
    request = resources.gpu
    if isinstance(request, GpuClasses):
        return max((option.count for option in request.options), default=1)
    if isinstance(request, GpuAny | GpuProperties):
        return request.count
    return 0
