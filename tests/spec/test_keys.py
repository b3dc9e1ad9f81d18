"""Keys: near matches, other tools' names, overrides, places of what is missing."""

from __future__ import annotations

import pytest

from launcher.spec.aliases import ALIASES, FOREIGN
from launcher.spec.model import GpuClasses, GpuClassOption, Script

GIB = 2**30


def hints(problems):
    return [problem.hint for problem in problems]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("comand: x", "use `run`"),
        ("max_duraton: 6h", "use `max_duration`"),
        ("Name: x", "use `name`"),
        ("timeout: 6h", "use `max_duration`"),
        ("ram: 50GB", "write it under `resources`"),
        ("memory: 32", "write it under `resources`"),
        ("grace: 2m", "write it under `release`"),
        ("working_dir: x", "use `workdir`"),
        ("stop_duration: 5m", "use `stop_grace`"),
        ("xyzzy: 1", "use one of: name,"),
    ],
)
def test_what_to_write_instead_of_an_unknown_key(reader, line, hint):
    """An unknown key is answered with the key that was meant, or the place where it belongs."""
    (problem,) = reader.problems(f"run: x\n{line}\n")
    assert problem.hint.startswith(hint)
    assert (problem.line, problem.column, problem.path) == (2, 1, line.split(":")[0])


def test_a_duplicate_names_the_first(reader):
    """The second of two equal keys is the problem, and says where the first stands; the first counts."""
    (problem,) = reader.problems("run: x\nname: a\nname: a/b\n")
    assert (problem.place, problem.message) == ("job.yaml:3:1", "`name` stands on line 2 already")


def test_aliases_are_read_with_their_tools_meaning(reader):
    """SkyPilot's and dstack's names are read as ours: their GB, and a number without a unit, are GiB."""
    job = reader.job(
        "resources: {accelerators: {A100: 2, L4: 4}, memory: 32+, disk_size: 256, cpu: 4..}\n"
        "envs: {A: b}\ncommands:\n  - pip install x\n  - |\n    python train.py\n"
    )
    assert job.resources.gpu == GpuClasses((GpuClassOption("A100", 2), GpuClassOption("L4", 4)))
    assert (job.resources.ram_bytes, job.resources.disk_bytes, job.resources.cpus) == (
        32 * GIB,
        256 * GIB,
        4.0,
    )
    assert (job.env, job.run) == ((("A", "b"),), Script("pip install x\npython train.py"))
    assert tuple(map(str, job.read_as)) == (
        "resources.accelerators: {A100: 2, L4: 4} -> resources.gpu: {A100: 2, L4: 4}",
        "resources.memory: 32+ -> resources.ram: 32GiB",
        "resources.disk_size: 256 -> resources.disk: 256GiB",
        "resources.cpu: 4.. -> resources.cpus: 4",
        "envs -> env",
        "commands: 2 lines -> run",
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("32", 32 * GIB),
        ("32+", 32 * GIB),
        ("32GB", 32 * GIB),
        ("32GB..", 32 * GIB),
        ("32GiB", 32 * GIB),
        ("32G", 32 * GIB),
        ("512MB", GIB // 2),
        ("1.5TB", 3 * 2**39),
        ("0.5", GIB // 2),
    ],
)
def test_memory_as_skypilot_and_dstack_count(reader, written, expected):
    """`resources.memory` is binary, whatever its unit says."""
    assert reader.job(f"run: x\nresources: {{memory: {written}}}\n").resources.ram_bytes == expected


def test_our_own_names_are_not_noted_as_read(reader):
    """A file in our own words has nothing to explain."""
    assert (
        reader.job("run: x\nresources: {gpu: A100, ram: 5GB, disk: 5GB, cpus: 1}\nenv: {A: b}\n").read_as
        == ()
    )


def test_each_alias_conflicts_with_its_own_key(reader):
    """An alias and the key that it stands for cannot both be given, not even with one value."""
    samples = {"env": "{A: b}", "run": "[x]", "gpu": "A100", "ram": "5GB", "disk": "5GB", "cpus": "1"}
    for path, names in ALIASES.items():
        for alias, own in names.items():
            line = f"{{{alias}: {samples[own]}, {own}: {samples[own]}}}"
            text = (
                f"resources: {line}\nrun: x\n"
                if path
                else f"{line[1:-1].replace(', ' + own, chr(10) + own)}\n"
            )
            codes = [code.split()[1] for code in reader.codes(text) if not code.endswith("CR222")]
            assert codes == ["CR224"], text


@pytest.mark.parametrize("key", sorted(FOREIGN))
def test_foreign_keys_are_named(reader, key):
    """A key of SkyPilot's or dstack's that means nothing here is known for what it is, at both levels."""
    assert reader.codes(f"run: x\n{key}: 1\n") == ["2:1 CR223"]
    assert reader.codes(f"run: x\nresources:\n  {key}: 1\n") == ["3:3 CR223"]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("10", "release: {when: idle, after: 10m}"),
        ("20m", "release: {when: idle, after: 20m}"),
        ("{idle_minutes: 5, down: true}", "release: {when: idle, after: 5m}"),
        ("true", "release: {when: idle}"),
        ("false", "release: {when: never}"),
    ],
)
def test_autostop_says_what_it_is_read_as(reader, value, meaning):
    """`autostop` is understood with SkyPilot's minutes, at the top and under `resources`."""
    for text in (f"run: x\nautostop: {value}\n", f"run: x\nresources:\n  autostop: {value}\n"):
        job = reader.job(text)
        assert str(job.read_as[0]).endswith(f"autostop -> {meaning}")
        after = {"10": 600.0, "20m": 1200.0, "{idle_minutes: 5, down: true}": 300.0}.get(value, 1800.0)
        assert (job.release.when.value, job.release.after_s) == (
            meaning.split(": ")[2].strip("}").split(",")[0],
            after,
        )


@pytest.mark.parametrize(
    ("value", "when", "after"),
    [("90", "idle", 90.0), ("1h", "idle", 3600.0), ("off", "never", 1800.0), ("0", "always", 1800.0)],
)
def test_idle_duration_counts_in_seconds(reader, value, when, after):
    """As dstack's does."""
    job = reader.job(f"run: x\nidle_duration: {value}\n")
    assert (job.release.when.value, job.release.after_s) == (when, after)


def test_overrides_win(reader):
    """`--set` replaces what is there, adds what is not, and may use an alias or name a whole mapping."""
    text = "run: x\nname: a/b\nresources: {memory: 32, gpu: T4}\nenv: {A: '1'}\n"
    job = reader.job(
        text,
        ("name", "fine"),
        ("resources.ram", "5GB"),
        ("resources.accelerators", "=A100:2"),
        ("env.A", "no"),
        ("env.B", '""'),
        ("release.when", "never"),
        ("run", "[a, b]"),
    )
    assert job.name == "fine"
    assert (job.resources.ram_bytes, job.resources.gpu_text) == (5 * 10**9, "=A100:2")
    assert job.env == (("A", "no"), ("B", ""))
    assert job.release.when is not None and job.release.when.value == "never"
    assert reader.job(text, ("name", "x"), ("resources", "{memory: 1}")).resources.ram_bytes == GIB


def test_overrides_can_give_what_the_file_lacks(reader):
    """A file without `run` is complete with `--set run=…`, and an empty mapping can be filled."""
    assert reader.job("name: x\nresources:\n", ("run", "y"), ("resources.gpu", "any")).run == Script("y")


def test_problems_of_overrides_have_their_own_source(reader):
    """A problem of `--set` is placed in its value, after the file's own, in the order of the command line."""
    problems = reader.problems(
        "run: x\nname: a/b\n",
        ("resources.gpu", "  A1O0"),
        ("resources.rams", "5GB"),
        ("max_duration", "5"),
        ("env.A", ""),
        ("run.x", "1"),
        ("a..b", "1"),
        ("setup", "\udcff"),
        ("outputs", "[{path: a}]"),
        ("lang", "&x en"),
    )
    assert [(problem.place, problem.code.value) for problem in problems] == [
        ("job.yaml:2:7", "CR236"),
        ("--set resources.gpu:1:3", "CR235"),
        ("--set resources.rams:1:1", "CR220"),
        ("--set max_duration:1:1", "CR231"),
        ("--set env.A:1:1", "CR222"),
        ("--set run.x:1:1", "CR230"),
        ("--set a..b:1:1", "CR220"),
        ("--set setup:1:1", "CR202"),
        ("--set outputs:1:2", "CR222"),
        ("--set lang:1:1", "CR210"),
    ]


def test_full_width_is_pointed_at_only_where_it_explains(reader):
    """Full-width punctuation in a text is a text; in place of YAML's own it is the problem."""
    assert reader.job("name: 訓練：一，二\nrun: echo “你好，世界”\n").name == "訓練：一，二"
    (problem,) = reader.problems("run: x\nresources: {ram: 50GB，disk: 30GB}\n")[:1]
    assert (problem.place, problem.code.value, problem.hint) == ("job.yaml:2:22", "CR206", "write `, `")
