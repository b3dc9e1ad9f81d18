"""Fifteen files as people publish them, written anew: what each becomes, and what is said about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from launcher.jobs import load_job
from launcher.judging import Here, check_on
from launcher.spec.model import GpuAny, GpuClasses, GpuNone, GpuProperties, RetryOn, When
from launcher.verdict.model import Status

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


def classes(spec: Any) -> list[str]:
    """The GPUs that are asked for, as `NAME:COUNT`."""
    assert isinstance(spec.resources.gpu, GpuClasses), spec.resources.gpu
    return [f"{option.name}:{option.count}" for option in spec.resources.gpu.options]


# name: (tool, check of the job, lines and words that must be listed, a row of the catalogue, its verdict)
FILES: dict[str, tuple[str, Any, dict[int, str], str, Status]] = {
    "sky-finetune.yaml": (
        "skypilot",
        lambda job: (
            classes(job) == ["L4:1", "A100:1"]
            and job.resources.ram_bytes == 32 * GIB
            and job.env == (("MODEL", "tiny-llama"), ("WANDB_PROJECT", "sft"))
            and job.secrets == ("HF_TOKEN",)
            and job.setup.text.startswith("pip install")
            and job.retry.max_restarts == 2
        ),
        {8: "use_spot", 10: "strategy"},
        "a100-40",
        Status.SHORT,  # 200 GiB of disk
    ),
    "sky-distributed.yaml": (
        "skypilot",
        lambda job: (
            classes(job) == ["H100:8"]
            and job.resources.cpus == 32
            and "export SKYPILOT_NUM_GPUS_PER_NODE=8\n" in job.run.text
            and job.env == (("NCCL_DEBUG", "INFO"),)
        ),
        {
            2: "num_nodes",
            4: "infra",
            7: "image_id",
            8: "ports",
            9: "labels",
            11: "/data",
            12: "/results",
            15: "tool",
            18: "$SKYPILOT_INTERNAL_JOB_ID",
        },
        "h100",
        Status.SHORT,  # eight of them
    ),
    "sky-any-of.yaml": (
        "skypilot",
        lambda job: (
            classes(job) == ["A10G:1", "L4:1"]
            and job.secrets == ("INPUT",)
            and (job.release.when, job.release.after_s) == (When.IDLE, 600)
        ),
        {4: "any_of[0].infra", 6: "any_of[1].infra", 8: "use_spot", 9: "disk_tier", 12: "INPUT"},
        "l4",
        Status.MET,
    ),
    "sky-anchors.yaml": (
        "skypilot",
        lambda job: (
            classes(job) == ["V100:4"]
            and dict(job.env) == {"WANDB_MODE": "offline", "SEED": "7", "DATA_SEED": "7", "ENABLED": "no"}
            and job.release.after_s == 300
        ),
        {1: ".defaults", 5: "autostop.down"},
        "a100-40",
        Status.SHORT,
    ),
    "sky-service.yaml": (
        "skypilot",
        lambda job: classes(job) == ["A100-80GB:1", "H100:1"] and job.resources.ram_bytes == 64 * GIB,
        {2: "service", 8: "ports", 9: "config", 11: "event_callback"},
        "a100-80",
        Status.MET,
    ),
    "finetune.dstack.yml": (
        "dstack",
        lambda job: (
            isinstance(job.resources.gpu, GpuProperties)
            and job.resources.gpu.memory_bytes == 24 * 10**9
            and job.secrets == ("HF_TOKEN",)
            and (job.max_duration_s, job.stop_grace_s) == (21600, 120)
            and job.retry.max_restarts == 3
            and job.run.text.splitlines()[-1] == "python train.py --epochs 2"
        ),
        {
            3: "python",
            5: "env[0]",
            11: "resources.gpu",
            14: "shm_size",
            17: "retry",
            19: "duration",
            20: "max_price",
            21: "spot_policy",
        },
        "a100-40",
        Status.MET,
    ),
    "distributed.dstack.yml": (
        "dstack",
        lambda job: classes(job) == ["A100-80GB:8", "H100:8"] and job.idle.after_s == 1800,
        {
            3: "nodes",
            4: "startup_order",
            5: "image",
            14: "fleets",
            15: "volumes",
            19: "min_gpu",
            21: "privileged",
        },
        "a100-80",
        Status.SHORT,
    ),
    "dev.dstack.yml": (
        "dstack",
        lambda job: "no command yet" in job.run.text and job.resources.disk_bytes == 50 * GIB,
        {1: "type", 3: "ide", 8: "arch", 10: "inactivity_duration", 12: "backends"},
        "a100-40",
        Status.SHORT,
    ),
    "service.dstack.yml": (
        "dstack",
        lambda job: (
            classes(job) == ["A100-40GB:2"]
            and job.secrets == ("HF_TOKEN",)
            and dict(job.env) == {"MODEL": "small-model", "MAX_LEN": "4096"}
            and job.release.when is When.NEVER
        ),
        {
            1: "type",
            3: "image",
            5: "HF_TOKEN",
            10: "port",
            11: "model",
            13: "replicas",
            14: "scaling",
            16: "priority",
        },
        "a100-40",
        Status.SHORT,
    ),
    "cpu-task.dstack.yml": (
        "dstack",
        lambda job: (
            isinstance(job.resources.gpu, GpuNone)
            and job.resources.cpus == 8
            and job.max_duration_s is None
            and job.release.after_s == 900
            and "  python prepare.py --part $part\n" in job.run.text
        ),
        {2: "working_dir", 3: "files", 4: "repos", 14: "tags", 15: "user", 16: "schedule"},
        "a100-40",
        Status.MET,
    ),
    "train.sbatch": (
        "slurm",
        lambda job: (
            classes(job) == ["A100:2"]
            and (job.resources.cpus, job.resources.ram_bytes) == (8, 64 * GIB)
            and (job.max_duration_s, job.stop_grace_s) == (129600, 120)
            and job.retry.on == (RetryOn.SIGNAL, RetryOn.LOST)
            and job.run.text.rstrip().endswith('python train.py --data "$HOME/data" --job $SLURM_JOB_ID')
            and 'export SLURM_JOB_ID="$COLAB_RUN_ID"' in job.run.text
            and "\nmodule" not in job.run.text
        ),
        {
            3: "--partition=gpu",
            4: "--account",
            9: "--output",
            10: "--mail-type",
            11: "--mail-user",
            12: "--signal",
            13: "--requeue",
            15: "module purge",
            16: "module load",
            19: "srun --cpu-bind=none",
        },
        "a100-80",
        Status.SHORT,
    ),
    "array.sbatch": (
        "slurm",
        lambda job: (
            job.matrix.axes == (("env.SLURM_ARRAY_TASK_ID", tuple("0123456789")),)
            and job.matrix.parallel == 2
            and isinstance(job.resources.gpu, GpuAny)
            and job.resources.ram_bytes == 4 * 3500 * 2**20
            and job.max_duration_s == 5400
            and dict(job.env) == {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "4"}
        ),
        {},
        "a100-40",
        Status.MET,
    ),
    "multi-node.slurm": (
        "slurm",
        lambda job: (
            classes(job) == ["H100:8"]
            and job.max_duration_s is None
            and "bash -c 'torchrun --nnodes $SLURM_NNODES train.py'" in job.run.text
        ),
        {
            2: "--nodes=4",
            5: "--exclusive",
            6: "--constraint",
            7: "--time",
            8: "--mem=0",
            9: "--dependency",
            10: "--chdir",
            11: "--error",
            12: "scontrol",
            13: "srun -N",
            14: "--qos=late",
        },
        "h100",
        Status.SHORT,
    ),
    "cpu.sh": (
        "slurm",
        lambda job: (
            (job.resources.cpus, job.resources.ram_bytes) == (16, 32 * GIB)
            and job.resources.disk_bytes == 50 * GIB
            and job.max_duration_s == 16200
            and job.resources.gpu is None
        ),
        {8: "--qos normal", 9: "--comment"},
        "a100-40",
        Status.SHORT,  # sixteen processors
    ),
    "python.sbatch": (
        "slurm",
        lambda job: (
            classes(job) == ["A100:1", "H100:1"]
            and job.max_duration_s == 172800
            and job.run.text.startswith("python3 - <<")
        ),
        {3: "lscratch:20", 6: "--some-new-option=7", 7: "--export=NONE", 10: "$SLURM_JOB_ID"},
        "a100-40",
        Status.MET,
    ),
}


def test_no_file_is_forgotten(assets: Path) -> None:
    """Five of each tool."""
    assert sorted(FILES) == sorted(path.name for path in assets.iterdir())
    assert [sum(row[0] == tool for row in FILES.values()) for tool in ("skypilot", "dstack", "slurm")] == [
        5
    ] * 3


@pytest.mark.parametrize("name", FILES)
def test_it_becomes_this_job(converter: Any, assets: Path, name: str) -> None:
    """What can be said here is said; everything else is listed with its line, and stands in the file too."""
    tool, is_right, listed, _, _ = FILES[name]
    converted = converter((assets / name).read_bytes(), name)
    assert converted.kind == tool
    assert is_right(converted.spec), converted.text
    for line, word in listed.items():
        assert any(word in what for what in converted.listed.get(line, [])), (line, word, converted.listed)
    assert all(f"#   line {one.line}, {one.what}: {one.why}\n" in converted.text for one in converted.left)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", ["zh-TW", "zh-CN"])
def test_it_is_the_same_job_in_each_language(converter: Any, assets: Path, name: str, language: str) -> None:
    """Comments are in the person's language, and comments only."""
    data = (assets / name).read_bytes()
    here, there = (converter(data, name, language=one) for one in ("en", language))
    assert here.spec == there.spec
    assert len(here.text.splitlines()) == len(there.text.splitlines())


@pytest.mark.parametrize("name", FILES)
def test_check_judges_it(converter: Any, assets: Path, name: str, tmp_path: Path) -> None:
    """A verdict about a runtime of the catalogue, and never an unknown."""
    _, _, _, row, expected = FILES[name]
    path = tmp_path / "job.yaml"
    path.write_text(converter((assets / name).read_bytes(), name).text, encoding="utf-8")
    here = Here({"HF_TOKEN": "x", "INPUT": "x", "HOME": str(tmp_path), "COLAB_RUN_HOME": str(tmp_path)})
    judged = check_on(load_job(str(path), (), here.catalog.accepted_names()), here, row, everything=False)
    assert judged.verdict.status is expected, judged.verdict
