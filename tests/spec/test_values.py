"""What values mean: quantities, text taken as it is written, names, paths, GPUs."""

from __future__ import annotations

import math

import pytest

from launcher.spec.gpu import parse_gpu
from launcher.spec.model import (
    AfterHold,
    Argv,
    GpuAny,
    GpuClasses,
    GpuClassOption,
    GpuNone,
    GpuProperties,
    JobSpec,
    Leftovers,
    Output,
    ReleasePolicy,
    Resources,
    Script,
    Unsaved,
    When,
)
from launcher.values import BadValue

GB, GIB = 10**9, 2**30


def test_the_whole_of_what_is_available(reader, repository):
    """Every key that is available arrives in the JobSpec with its type."""
    text = (repository / "tests/assets/spec/good/contract.yaml").read_bytes()
    assert reader.job(text, folder="/srv/project") == JobSpec(
        name="finetune",
        workdir="/srv/project",
        run=Script("python train.py --epochs 10"),
        resources=Resources(
            GpuClasses((GpuClassOption("A100"),)), "A100", ram_bytes=50 * GB, disk_bytes=30 * GB, cpus=4.0
        ),
        env=(("WANDB_MODE", "offline"),),
        secrets=("HF_TOKEN",),
        setup=Script("pip install -q -r requirements.txt"),
        outputs=(Output("checkpoints/", "/content/drive/MyDrive/finetune", every_s=600.0, restore=True),),
        max_duration_s=21600.0,
        stop_grace_s=30.0,
        leftovers=Leftovers.KILL,
        release=ReleasePolicy(when=When.ALWAYS, grace_s=120.0),
        mirror="/content/drive/MyDrive/colab-run",
        lang="en",
    )


def test_defaults(reader):
    """`run` alone is a job; the rest has the defaults of the documentation."""
    assert reader.job("run: x\n", source="some/dir/train.yaml") == JobSpec(
        name="train", workdir="/srv/project", run=Script("x")
    )


def test_release(reader):
    """The release policy takes 0s for its countdowns, and the choices that exist."""
    release = "{when: never, grace: 0s, hold: 0s, unsaved: discard, after_hold: stay}"
    job = reader.job(f"run: x\nstop_grace: 0s\nrelease: {release}\n")
    assert job.release == ReleasePolicy(
        When.NEVER, grace_s=0.0, unsaved=Unsaved.DISCARD, hold_s=0.0, after_hold=AfterHold.STAY
    )
    assert job.stop_grace_s == 0.0


VERBATIM = [
    "no",
    "on",
    "yes",
    "y",
    "true",
    "1:30",
    "12:30:45",
    "0755",
    "0o755",
    "0x1F",
    "10",
    "1.10",
    "1_000",
    "1e3",
    ".5",
    ".inf",
    "2024-01-01",
    "=",
    "nulls",
    "+1",
    "a#b",
    "http://x/y",
    "ünï你好",
    "'null'",
    '"~"',
    '""',
    "''",
]


@pytest.mark.parametrize("written", VERBATIM)
def test_env_values_are_the_text_in_the_file(reader, written):
    """No YAML 1.1 surprise: a value of `env` is its source text, character by character."""
    expected = written[1:-1] if written[0] in "'\"" else written
    assert reader.job(f"run: x\nenv:\n  A: {written}\n").env == (("A", expected),)


def test_text_fields_take_the_text(reader):
    """A name `no` is the name `no`, and an argument 010 is three characters."""
    job = reader.job("name: no\nrun: [python, 010, on, 1e3, 1:30]\n")
    assert (job.name, job.run) == ("no", Argv(("python", "010", "on", "1e3", "1:30")))


SIZES = {
    "50GB": 50 * GB, "50 GB": 50 * GB, "50gb": 50 * GB, "50GB+": 50 * GB, "50GB..": 50 * GB,
    "48GiB": 48 * GIB, "1.5TB": 1500 * GB, ".5MB": 500_000, "0GB": 0, "010GB": 10 * GB, "1B": 1,
    "0.1B": 1, "7KiB": 7168, "1000000TB": 10**18, "50": "CR231", "0": "CR231", "50+": "CR231",
    "1_000": "CR230", "1e3GB": "CR230", "0x10GB": "CR230", "5XB": "CR232", "5G": "CR232",
    "5Gi": "CR232", "5m": "CR232", "-5GB": "CR233", "-.5GB": "CR233", ".inf": "CR233", "nan": "CR233",
    "infGB": "CR233", "1000001TB": "CR233", "9" * 90 + "GB": "CR233", "9" * 900 + "GB": "CR230",
    "16GB..64GB": "CR240", "16..64GB": "CR240", "..64GB": "CR240", "16GB-64GB": "CR240",
    "lots": "CR230", "５GB": "CR206", "5GB5": "CR230", "GB": "CR230", "[5GB]": "CR230", "~": "CR222",
    "''": "CR222", "+5GB": "CR230",
}  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), SIZES.items(), ids=lambda value: str(value)[:20])
def test_sizes(reader, written, expected):
    """A size needs a number and a unit; whatever else is said by its own code."""
    text = f"run: x\nresources: {{ram: {written}}}\n"
    if isinstance(expected, str):
        assert [problem.code.value for problem in reader.problems(text)] == [expected]
    else:
        assert reader.job(text).resources.ram_bytes == expected


DURATIONS = {
    "90s": 90, "20m": 1200, "6h": 21600, "1d": 86400, "1h30m": 5400, "1h 30m": 5400, "1.5h": 5400,
    ".5s": 0.5, "0.001s": 0.001, "366d": 366 * 86400, "010s": 10, "0.000000001s": 1e-9, "90": "CR231",
    "0": "CR231", "1.5": "CR231", "1_0": "CR230", "5x": "CR232", "42D": "CR232", "6H": "CR232",
    "5min": "CR232", "5 hours": "CR232", "1y": "CR232", "-1h": "CR233", "0s": "CR233", "0h0m": "CR233",
    "0." + "0" * 60 + "1s": "CR233", "0." + "0" * 6000 + "1s": "CR230", "inf": "CR233", "nan": "CR233",
    ".inf": "CR233", "-inf": "CR233", "367d": "CR233", "9" * 80 + "s": "CR233", "1e-10000": "CR232",
    "1e5": "CR232", "1e3s": "CR232", "1:30": "CR230", "12:30:45": "CR230", "forever": "CR230",
    "no": "CR230", "off": "CR230", "h": "CR230", "1h-": "CR230", "5ｓ": "CR206", "{h: 6}": "CR230",
    "null": "CR222",
}  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), DURATIONS.items(), ids=lambda value: str(value)[:20])
def test_durations(reader, written, expected):
    """A limit is more than nothing and finite: no spelling turns into `no limit`."""
    text = f"run: x\nmax_duration: {written}\n"
    if isinstance(expected, str):
        assert [problem.code.value for problem in reader.problems(text)] == [expected]
    else:
        seconds = reader.job(text).max_duration_s
        assert seconds is not None and math.isclose(seconds, expected) and seconds > 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("4", 4.0),
        ("1.5", 1.5),
        ("4+", 4.0),
        ("4..", 4.0),
        ("0", "CR233"),
        ("0.0", "CR233"),
        ("-1", "CR233"),
        ("4-8", "CR240"),
        ("4..8", "CR240"),
        ("four", "CR230"),
        ("1_0", "CR230"),
        ("1e9", "CR230"),
        ("100001", "CR233"),
        ("nan", "CR233"),
    ],
)
def test_cpus(reader, written, expected):
    """CPUs are a number above 0, which may be a fraction."""
    text = f"run: x\nresources: {{cpus: {written}}}\n"
    if isinstance(expected, str):
        assert [problem.code.value for problem in reader.problems(text)] == [expected]
    else:
        assert reader.job(text).resources.cpus == expected


def one(name, count=1, exact=False):
    return GpuClasses((GpuClassOption(name, count, exact),))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("A100", one("A100")),
        ("a100", one("A100")),
        ("=A100", one("A100", exact=True)),
        ("A100:2", one("A100", 2)),
        ("=A100-80GB:8", one("A100-80GB", 8, True)),
        ("NVIDIA A100", one("A100")),
        ("Tesla T4", one("T4")),
        ("NVIDIA A100-SXM4-40GB", one("A100-40GB")),
        ("a100_80gb", one("A100-80GB")),
        ("rtx4090", one("RTX 4090")),
        ("NVIDIA GeForce RTX 4090", one("RTX 4090")),
        ("any", GpuAny()),
        ("any:2", GpuAny(2)),
        ("none", GpuNone()),
        ("Any", GpuAny()),
        (" L4 ", one("L4")),
    ],
)
def test_gpu_forms(reader, written, expected):
    """One text says a class, exactly it, a number of them, any, or none, in any usual spelling."""
    assert parse_gpu(written, reader.classes) == expected
    assert reader.job(f"run: x\nresources:\n  gpu: '{written}'\n").resources == Resources(
        expected, written.strip()
    )


@pytest.mark.parametrize(
    ("written", "kind", "hint"),
    [
        ("A1000", "class-near", "use `A100`"),
        ("Tesla V100-SXM2-16GB", "class-near", "use `V100`"),
        ("potato", "class", "use one of: any, none, T4"),
        ("", "class", "use one of"),
        ("1", "gpu-as-number", "`any:1`"),
        ("24GB", "gpu-as-size", "{memory: 24GB}"),
        ("A100:80GB:2", "gpu-size-as-count", "`A100-80GB:2`"),
        ("T4:16GB", "gpu-size-as-count", "{memory: 16GB}"),
        ("A100:0", "zero", "at least 1"),
        ("A100:65", "too-much", "at most 64"),
        ("A100:" + "9" * 99, "too-much", "at most 64"),
        ("A100:", "not-integer", "digits"),
        ("A100:-1", "negative", "positive"),
        ("none:1", "gpu-no-count", "`none`"),
        ("=any", "gpu-not-exact", "`any`"),
        ("any:x", "not-integer", "digits"),
        ("==A100", "class-near", "A100"),
    ],
)
def test_gpu_problems(reader, written, kind, hint):
    """What is not a GPU is refused with what to write instead, on the command line as in the file."""
    with pytest.raises(BadValue) as caught:
        parse_gpu(written, reader.classes)
    assert caught.value.kind == kind
    assert hint in caught.value.hint


def test_gpu_lists_and_properties(reader):
    """A list is any of its classes; properties are read from the text, so 8.0 is (8, 0)."""
    job = reader.job("run: x\nresources:\n  gpu: [L4, =A100:2]\n")
    assert job.resources.gpu == GpuClasses((GpuClassOption("L4"), GpuClassOption("A100", 2, True)))
    assert job.resources.gpu_text == "[L4, =A100:2]"
    job = reader.job("run: x\nresources: {gpu: {memory: 22GB, compute_capability: 8.0, count: 2}}\n")
    assert job.resources.gpu == GpuProperties(22 * GB, (8, 0), 2)
    assert job.resources.gpu_text == "{memory: 22GB, compute_capability: 8.0, count: 2}"
    job = reader.job('run: x\nresources: {gpu: {compute_capability: "12.0"}}\n')
    assert job.resources.gpu == GpuProperties(None, (12, 0), 1)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("job.yaml", "job"),
        ("a/b/train.yml", "train"),
        ("x.YAML", "x"),
        (".yaml", "job"),
        ("last.yaml", "job"),
        ("...yaml", "job"),
        ("..", "job"),
        ("a\nb.yaml", "a_b"),
        ("x" * 300 + ".yaml", "x" * 100),
        ("訓練：一.yaml", "訓練：一"),
        ("caf\udce9.yaml", "caf_"),
        ("job.v2.yaml", "job.v2"),
        ("-", "-"),
        ("", "job"),
        ("\u2028.yaml", "_"),
        ("  .yaml", "job"),
    ],
)
def test_any_file_name_is_fine(reader, source, name):
    """The name by default is made of the file's name, and satisfies the rule for names whatever that is."""
    job = reader.job("run: x\n", source=source)
    assert job.name == name
    assert reader.job(f'run: x\nname: "{job.name}"\n').name == name


@pytest.mark.parametrize(
    ("workdir", "expected"),
    [
        (".", "/srv/project"),
        ("src", "/srv/project/src"),
        ("../x", "/srv/x"),
        ("/content", "/content"),
        ("~/x", "~/x"),
        ("a//b/./c", "/srv/project/a/b/c"),
    ],
)
def test_workdir_is_absolute(reader, workdir, expected):
    """The workdir counts from the job file's folder; `~` is left to the app."""
    assert reader.job(f"run: x\nworkdir: {workdir}\n").workdir == expected


def test_outputs_that_would_replace_each_other(reader):
    """Two results of one name in one folder are a problem, `.` being named after the workdir."""
    text = (
        "run: x\noutputs: [{path: ., to: /mnt}, {path: ../project, to: /mnt/.}, {path: project2, to: /mnt}]\n"
    )
    assert reader.codes(text) == ["2:39 CR224"]
