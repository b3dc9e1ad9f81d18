"""What a review found: programs that vanished from `srun` and `module` lines, GPUs of tasks, secrets."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.spec.model import GpuClasses

GIB = 2**30
TOKEN = "hf_" + "a1B2c3D4" * 4


def run_of(converted: Any) -> list[str]:
    """The lines under `run` without the variables in front."""
    return [line for line in converted.spec.run.text.splitlines() if not line.startswith("export SLURM")]


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("srun --exact python t.py", "python t.py"),
        ("srun -l python t.py", "python t.py"),
        ("srun -K python t.py", "python t.py"),
        ("srun -K1 python t.py", "python t.py"),
        ("srun -lu -n1 python t.py", "python t.py"),
        ("srun -W 0 python w.py", "python w.py"),
        ("srun --wait 0 python w.py", "python w.py"),
        ("srun --kill-on-bad-exit python t.py", "python t.py"),
        ("srun --kill-on-bad-exit=1 --pty bash -i", "bash -i"),
        ("srun --overlap --cpus-per-task 4 --mpi=pmix python t.py", "python t.py"),
        ("srun --comment='a b' python t.py --exact", "python t.py --exact"),
        ("time srun --unbuffered -- python t.py", "time python t.py"),
    ],
)
def test_srun_goes_and_the_program_stays(converter: Any, line: str, becomes: str) -> None:
    """Its flags and its options with values are srun's own, not those of sbatch."""
    converted = converter.sbatch(body=line)
    assert run_of(converted) == [becomes]
    assert any("srun" in what for what in converted.listed[3])


@pytest.mark.parametrize(
    "line",
    [
        "srun --unheard-of python t.py",
        "srun -y 5 python t.py",
        "srun --multi-prog plan.conf",
        "srun -n $(nproc --all) python t.py",
        "srun ${SRUN_ARGS} python t.py",
        "cd x && srun python t.py",
        "for i in 1 2; do srun -n1 python t.py; done",
        "if ! srun python t.py; then exit 3; fi",
        "nodes=$(srun hostname)",
        "export HEAD=$(scontrol show hostnames | head -1)",
    ],
)
def test_what_cannot_be_taken_out_stays_and_is_listed(converter: Any, line: str) -> None:
    """With its line."""
    converted = converter.sbatch(body=line)
    assert run_of(converted) == [line]
    assert converted.listed[3]


@pytest.mark.parametrize("rest", ["python t.py --host $(scontrol show hostname)", "a.sh | srun b.sh"])
def test_the_rest_of_a_line_of_srun_is_looked_at_too(converter: Any, rest: str) -> None:
    """Two entries: the one that is gone, the one that is still there."""
    assert len(converter.sbatch(body=f"srun {rest}").listed[3]) == 2


@pytest.mark.parametrize(
    ("lines", "becomes"),
    [
        ("module load python; python train.py", ["python train.py"]),
        ("module purge && module load cuda/12 && python prep.py", ["python prep.py"]),
        ("ml cuda; exec python train.py", ["exec python train.py"]),
        ("module load cuda || exit 1", ["true || exit 1"]),
        ("cd src && module load x && python a.py", ["cd src && python a.py"]),
        ("false || module load x && python a.py", ["false || true && python a.py"]),
        ("module load a && srun -l python t.py", ["python t.py"]),
        ("if module load x 2>&1; then python a.py; fi", ["if true; then python a.py; fi"]),
        ("echo 'module load a; b'; python a.py", ["echo 'module load a; b'; python a.py"]),
        ("module load \\\n  cuda \\\n  python\npython a.py", ["# module load cuda python", "python a.py"]),
        (
            "if true; then\n  module load x\nfi\npython a.py",
            ["if true; then", "  true  # module load x", "fi", "python a.py"],
        ),
    ],
)
def test_only_the_module_commands_go(converter: Any, lines: str, becomes: list[str]) -> None:
    """What stands beside them in the line is the job."""
    converted = converter.sbatch(body=lines)
    assert run_of(converted) == (becomes if any(not line.startswith("#") for line in becomes) else [])
    assert any("module" in what or "ml " in what for told in converted.listed.values() for what in told)


def test_what_each_task_gets_is_counted_for_all(converter: Any) -> None:
    """All tasks are on one machine."""
    converted = converter.sbatch(
        "--gpus-per-task=a100:1", "--mem-per-gpu=40G", "--cpus-per-task=8", "--ntasks=4"
    )
    needs = converted.spec.resources
    assert isinstance(needs.gpu, GpuClasses)
    assert [(one.name, one.count) for one in needs.gpu.options] == [("A100", 4)]
    assert (needs.ram_bytes, needs.cpus) == (160 * GIB, 32)
    assert converted.listed[2] == ["--gpus-per-task=a100:1"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sky.yaml", f"envs: {{HF_TOKEN: {TOKEN}, MODEL: tiny}}\nrun: python t.py\n"),
        ("sky.yaml", f"envs: {{WHATEVER: {TOKEN}, MODEL: tiny}}\nrun: python t.py\n"),
        ("x.dstack.yml", f"type: task\nenv: [WANDB_API_KEY={TOKEN}, MODEL=tiny]\ncommands: [ls]\n"),
        ("j.sbatch", f"#!/bin/bash\n#SBATCH --export=ALL,HF_TOKEN={TOKEN},MODEL=tiny\nls\n"),
        ("j.sbatch", f"#!/bin/bash\n#SBATCH --export=NONE,HF_TOKEN={TOKEN},MODEL=tiny\nls\n"),
    ],
)
def test_values_of_secrets_are_not_copied(converter: Any, name: str, text: str) -> None:
    """Neither into `env` nor into the list; the name is asked of the environment, and that is said."""
    converted = converter(text, name)
    assert TOKEN not in converted.text
    assert len(converted.spec.secrets) == 1
    assert dict(converted.spec.env) == {"MODEL": "tiny"}
    assert any("not copied" in str(one.why) for one in converted.left)


@pytest.mark.parametrize(
    "pair", ["TOKENIZERS_PARALLELISM=false", "MAX_TOKENS=4096", "TOKENIZER=bert", "AUTHOR=ann", "USE_AUTH=1"]
)
def test_a_name_that_sounds_alike_is_no_secret(converter: Any, pair: str) -> None:
    """It stays under `env`."""
    name, _, value = pair.partition("=")
    converted = converter(f"type: task\nenv: [{pair}]\ncommands: [ls]\n", "x.dstack.yml")
    assert (dict(converted.spec.env), converted.spec.secrets) == ({name: value}, ())


def test_a_passed_over_line_shows_no_secret(converter: Any) -> None:
    """Options behind the first command are listed as they stand, but for that."""
    text = f"#!/bin/bash\n#SBATCH -t 5\nls\n#SBATCH --export=PASSWORD=abc123,X={TOKEN}\n"
    converted = converter(text, "j.sbatch")
    assert "abc123" not in converted.text and TOKEN not in converted.text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"export WANDB_API_KEY={TOKEN}", True),
        (f"curl -H 'Authorization: Bearer {TOKEN}' host", True),
        ("PASSWORD='hunter2' python t.py", True),
        ("export HF_TOKEN=$MY_TOKEN", False),
        ("export MAX_TOKENS=4096", False),
    ],
)
def test_a_script_is_not_changed_for_its_secret_but_that_is_said(
    converter: Any, line: str, *, said: bool
) -> None:
    """Above the lines, in the file that somebody may be about to share."""
    converted = converter.sbatch(body=f"{line}\npython t.py")
    assert run_of(converted) == [line, "python t.py"]
    assert ("# A secret seems to stand in these lines" in converted.text) == said
    sky = converter(f"setup: |\n  {line}\nrun: ls\n", "sky.yaml")
    assert ("# A secret seems to stand in these lines" in sky.text) == said


@pytest.mark.parametrize("start", ["cat <<EOF > other.sh", "cat <<'EOF'", 'cat <<-"EOF"'])
def test_here_documents_stay_as_they_are(converter: Any, start: str) -> None:
    """They are text for a command: another script, perhaps one for sbatch."""
    body = [start, "#SBATCH --mem=4G", "srun python t.py", "module load x", "srun # \\", "EOF", "srun -l ls"]
    converted = converter.sbatch(body="\n".join(body))
    assert run_of(converted) == [*body[:-1], "ls"]
    assert sorted(converted.listed) == [3, 9]
    assert converted.spec.resources.ram_bytes is None


def test_a_shift_is_no_here_document(converter: Any) -> None:
    """Nothing ends it."""
    converted = converter.sbatch(body="n=$((1 << k))\nsrun ls")
    assert run_of(converted) == ["n=$((1 << k))", "ls"]


def test_an_array_that_is_too_long_says_so(converter: Any) -> None:
    """Also one of several parts."""
    for text in ("1-2000", "1-600,700-1200"):
        converted = converter.sbatch(f"--array={text}")
        assert converted.spec.matrix is None
        assert [str(one.why) for one in converted.left] == [
            "a matrix has at most 1000 runs: make several arrays of it"
        ]


@pytest.mark.parametrize("line", ["set -e", "set -euo pipefail", "set -o errexit", "set -uo errexit"])
@pytest.mark.parametrize("name", ["j.sbatch", "sky.yaml"])
def test_a_script_that_stops_anyway_needs_no_word(converter: Any, name: str, line: str) -> None:
    """However it is written; `pipefail` alone is not it."""

    def converted(first: str) -> Any:
        if name == "sky.yaml":
            return converter(f"run: |\n  {first}\n  ls\n", name)
        return converter.sbatch(body=f"{first}\nls")

    assert converted(line).left == []
    assert converted("set -o pipefail").left != []
