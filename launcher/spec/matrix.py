"""`matrix:` of the job file: one job, run once for each combination of parameters. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.messages import shown
from launcher.spec.model import Matrix
from launcher.spec.tree import Sequence

if TYPE_CHECKING:
    from launcher.spec.reader import Field

MOST_RUNS = 1000
PARALLEL = "parallel"
_EXAMPLE = "{env.LR: [0.1, 0.01]}"
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
# What all runs of a matrix have in common: the file itself, and the end of all of them.
_NOT_PARAMETERS = ("matrix", "name", "lang", "release", "ledger")


def read_matrix(field: Field | None) -> Matrix | None:
    """`{env.LR: [0.1, 0.01], env.SEED: [1, 2], parallel: 2}`; the keys are those of `--set`."""
    reader = field.mapping(example=_EXAMPLE) if field is not None else None
    if field is None or reader is None:
        return None
    parallel, axes = None, []
    for entry, value in reader.every():
        if entry.name == PARALLEL:
            parallel = value.read(_parse_parallel, example="2")
        elif _KEY.fullmatch(entry.name) is None or entry.name.split(".")[0] in _NOT_PARAMETERS:
            value.problem_at_key("matrix-key", found=shown(entry.name))
        else:
            axes.append((entry.name, _read_values(value)))
    runs = math.prod(len(values) for _, values in axes)
    if not axes and not field.report.problems():
        field.problem("matrix-empty")
    elif runs > MOST_RUNS:
        field.problem("matrix-large", found=str(runs), most=str(MOST_RUNS))
    return Matrix(tuple(axes), parallel)


def _read_values(field: Field) -> tuple[str, ...]:
    """Texts, each as it would stand behind `--set KEY=`."""
    items = field.items(example="[0.1, 0.01]") if isinstance(field.node, Sequence) else [field]
    values: list[str] = []
    for item in items:
        text = item.text(example="0.1")
        if text is not None and text in values:
            item.problem("matrix-twice", found=shown(text))
        elif text is not None:
            values.append(text)
    return tuple(values)


def _parse_parallel(text: str) -> int:
    return quantities.integer(text, least=1, most=MOST_RUNS, example="parallel: 2")
