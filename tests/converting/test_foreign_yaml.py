"""YAML of other tools: anchors are followed, bombs are not, secrets stay where they are."""

from __future__ import annotations

import time
from typing import Any

import pytest

from launcher.errors import JobFileError, UsageError
from launcher.spec.foreign import MOST_NODES, read_foreign
from launcher.spec.tree import Mapping, Scalar, Sequence


def plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: plain(entry.value) for name, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(one) for one in node.items]
    assert isinstance(node, Scalar)
    return node.text


def test_anchors_and_merges_are_followed() -> None:
    """Own keys come before merged ones, and the first merged one before the second."""
    text = b"a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 9}\nd: [*a, &s no, *s]\n"
    assert plain(read_foreign(text, "f"))["c"] == {"x": "9", "y": "2", "z": "4"}
    assert plain(read_foreign(text, "f"))["d"] == [{"x": "1", "y": "2"}, "no", "no"]


def test_no_value_is_taken_for_something_else() -> None:
    """YAML 1.1 would read false, 5400 and 493."""
    assert plain(read_foreign(b"run: x\na: no\nb: 1:30\nc: 0o755\n", "f")) == {
        "run": "x", "a": "no", "b": "1:30", "c": "0o755",
    }  # fmt: skip


def test_a_bomb_costs_no_more_than_its_bytes() -> None:
    """Ten levels of nine aliases: 9^10 nodes, refused at the alias, in no time."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11)]
    began = time.process_time()
    with pytest.raises(JobFileError) as caught:
        read_foreign("\n".join(lines).encode(), "bomb.yaml")
    assert time.process_time() - began < 2
    assert caught.value.problems[0].line >= 3
    assert MOST_NODES < 9**5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("run: x\na: &a [*a]\n", 2),
        ("run: x\na: *nowhere\n", 2),
        ("run: x\n<<: 5\n", 2),
        ("run: x\n---\nrun: y\n", 2),
        ("run: x\na: !Ref y\n", 2),
        ("run: x\nrun: y\n", 2),
        ("run: [x\n", 1),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, line: int) -> None:
    """As in a job file: line and column."""
    with pytest.raises(JobFileError) as caught:
        read_foreign(text.encode(), "task.yaml")
    assert caught.value.problems[0].line == line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "hello\n"),
        ("empty.yaml", ""),
        ("list.yaml", "[1, 2]\n"),
        ("compose.yaml", "services: {a: {}}\n"),
        ("run.sh", "#!/bin/bash\npython train.py\n"),
        ("job.sbatch", "python train.py\n"),
    ],
)
def test_other_files_are_refused(converter: Any, name: str, text: str) -> None:
    """With the name of the file."""
    with pytest.raises(UsageError, match=name):
        converter(text, name)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.yaml", "type: task\ncommands: [ls]\n", "dstack"),
        ("a.dstack.yml", "commands: [ls]\n", "dstack"),
        ("a.yaml", "commands: [ls]\nmax_price: 2\n", "dstack"),
        ("a.yaml", "run: ls\n", "skypilot"),
        ("a.yaml", "envs: {A: b}\n", "skypilot"),
        ("a.txt", "#!/bin/sh\n#SBATCH -t 5\nls\n", "slurm"),
        ("a.sbatch", "#!/bin/sh\r\n#SBATCH -t 5\r\nls\r\n", "slurm"),
        ("a.yaml", "\ufeffrun: ls\n", "skypilot"),
    ],
)
def test_the_tool_is_told_by_what_stands_there(converter: Any, name: str, text: str, kind: str) -> None:
    """And by the name, where that is theirs."""
    assert converter(text, name).kind == kind


def test_values_of_secrets_are_never_written(converter: Any) -> None:
    """Neither in the file nor in the list."""
    sky = converter("secrets: {TOKEN: hunter2}\nrun: ls\n", "a.yaml")
    dstack = converter("type: task\nenv: [TOKEN]\ncommands: [ls]\n", "a.yaml")
    assert sky.spec.secrets == dstack.spec.secrets == ("TOKEN",)
    assert "hunter2" not in sky.text
    assert "hunter2" not in str(sky.left)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 5400), ("90:30", 5430), ("2:00:00", 7200), ("1-0", 86400), ("1-12", 129600),
        ("1-12:30", 131400), ("1-12:30:15", 131415), ("0", None), ("INFINITE", None),
    ],
)  # fmt: skip
def test_times_of_slurm(converter: Any, written: str, seconds: float | None) -> None:
    """Minutes alone, and days before a dash."""
    assert converter.sbatch(f"--time={written}").spec.max_duration_s == seconds


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("srun python train.py", "python train.py"),
        ("srun -n 1 -c4 --mem=2G python train.py -n 5", "python train.py -n 5"),
        ("time srun --export=ALL python 'a b.py'", "time python 'a b.py'"),
        ("A=1 srun python x.py && echo done", "A=1 python x.py && echo done"),
        ("srunner x", "srunner x"),
        ("srun -n 2 \\\n  --mpi=pmix \\\n  python x.py", "python x.py"),
        ("python x.py \\\n  --a 1", "python x.py \\"),
        ("module load cuda", "# module load cuda"),
        ("echo module load", "echo module load"),
    ],
)
def test_lines_that_are_slurms(converter: Any, line: str, expected: str) -> None:
    """`srun` and `module` go, everything else stays as it was written."""
    assert converter.sbatch(body=f"set -e\n{line}").spec.run.text.splitlines()[1] == expected


MANY = "9" * 5000


@pytest.mark.parametrize(
    "option",
    ["--time={}", "--mem={}", "--gres=gpu:{}", "-G {}", "--array=0-{}", "-c {}", "-n {}", "--signal=TERM@{}"],
)
def test_figures_without_end_are_listed(converter: Any, option: str) -> None:
    """More digits than Python converts."""
    assert converter.sbatch(option.format(MANY)).left


@pytest.mark.parametrize("row", ["idle_duration: {}", "max_duration: {}h", "resources: {{gpu: {}, cpu: {}}}"])
def test_figures_without_end_are_listed_in_yaml_too(converter: Any, row: str) -> None:
    """As above."""
    text = "type: task\ncommands: [ls]\n" + row.format(*[MANY] * row.count("{}"))
    assert converter(text, "a.dstack.yml").left
