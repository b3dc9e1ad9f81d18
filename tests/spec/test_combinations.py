"""The runs of a matrix: all combinations, in order, and no two that share a folder."""

from __future__ import annotations

import json
import os
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from launcher.spec.combinations import VARIABLE, as_run, combinations, folder_of, gpus_of, label
from launcher.spec.model import Argv, GpuAny, GpuClasses, GpuClassOption, JobSpec, Matrix, Output, Resources

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
MATRICES = st.lists(
    st.tuples(st.sampled_from(["env.LR", "env.SEED", "resources.gpu", "x.LR"]), st.lists(TEXTS, unique=True)),
    min_size=1,
    max_size=3,
    unique_by=lambda axis: axis[0],
).map(lambda axes: Matrix(tuple((key, tuple(values)) for key, values in axes)))


def test_the_last_axis_is_the_fastest() -> None:
    found = combinations(Matrix((("env.LR", ("0.1", "0.2")), ("env.SEED", ("1", "2")))))
    assert [label(one) for one in found] == [
        "LR=0.1 SEED=1",
        "LR=0.1 SEED=2",
        "LR=0.2 SEED=1",
        "LR=0.2 SEED=2",
    ]


@given(MATRICES)
def test_each_has_a_folder_and_a_name_of_its_own(matrix: Matrix) -> None:
    """Whatever the values are made of, a folder is one folder below the target, and no other run's."""
    found = combinations(matrix)
    assert len(found) == prod(len(values) for _, values in matrix.axes)
    folders = [folder_of(one, number) for number, one in enumerate(found, 1)]
    assert len({folder.casefold() for folder in folders}) >= len({one for one in map(str.casefold, folders)})
    assert len(set(folders)) == len(found)
    for number, (one, folder) in enumerate(zip(found, folders, strict=True), 1):
        assert os.path.basename(folder) == folder
        assert folder not in ("", ".", "..")
        assert len(folder.encode()) <= 255
        spec = as_run(JobSpec("n", "/w", Argv(("true",)), outputs=(Output("o", "/to/"),)), one, number)
        assert spec.outputs[0].to == f"/to/{folder}"
        assert json.loads(dict(spec.env)[VARIABLE]) == dict(one)
        assert len(spec.name) <= 100
        assert "/" not in spec.name
        assert spec.name.isprintable()


def test_a_command_has_no_folder() -> None:
    spec = JobSpec("n", "/w", Argv(("true",)), outputs=(Output("o", "command:cp {path} x"),))
    assert as_run(spec, (("env.A", "1"),), 1).outputs == spec.outputs


def test_gpus_of_a_run() -> None:
    """The most that any of its classes would take."""
    two = GpuClasses((GpuClassOption("L4", 2), GpuClassOption("A100", 1)))
    assert [gpus_of(Resources(gpu=one)) for one in (None, GpuAny(3), two)] == [0, 3, 2]
