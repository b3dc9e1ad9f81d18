"""Every key and option of a file either changes the job, or is listed with its line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import JobFileError, UsageError

SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Options of `man sbatch`, each with a value of the kind that it takes.
OPTIONS = """
--account=proj --array=0-3 -a 1,5 --batch=feature --bb=spec --begin=16:00 --chdir=src --chdir=/nowhere
--cluster-constraint=x --clusters=a,b --comment=hello --constraint=a100 --constraint=intel
--container=/oci --contiguous --core-spec=1 --cores-per-socket=4 --cpu-freq=high --cpus-per-gpu=4
--cpus-per-task=4 -c 8 --deadline=now+1hour --delay-boot=5 --dependency=singleton --distribution=block
--error=err.txt --exclude=n1 --exclusive --export=A=1,B --export=NONE --export-file=env
--extra-node-info=2 --get-user-env --gid=users --gpu-bind=closest --gpu-freq=high --gpus=2 -G a100:2
--gpus-per-node=1 --gpus-per-socket=1 --gpus-per-task=1 --gres=gpu:2 --gres=gpu:h100:1
--gres=gpu:nosuch:1 --gres=shard:4 --gres-flags=x --hint=compute_bound --hold --ignore-pbs --immediate
--input=in.txt --job-name=x -Jy --kill-on-invalid-dep=yes --licenses=foo:4 --mail-type=ALL --mail-user=me
--mcs-label=x --mem=4G --mem=0 --mem-bind=local --mem-per-cpu=2G --mem-per-gpu=8G --mincpus=4
--network=ib --nice=5 --no-kill --no-requeue --nodefile=f --nodelist=n1 --nodes=2 --nodes=1-4 --ntasks=4
--ntasks-per-core=1 --ntasks-per-gpu=1 --ntasks-per-node=2 --ntasks-per-socket=2 --open-mode=append
--output=o.txt --overcommit --oversubscribe --parsable --partition=gpu --power=x --prefer=x --priority=5
--profile=all --propagate=ALL --qos=high --quiet --reboot --requeue --reservation=r --segment=1
--signal=USR1@60 --signal=TERM --sockets-per-node=1 --spread-job --switches=1 --test-only --thread-spec=1
--threads-per-core=1 --time=60 --time=UNLIMITED --time=nonsense --time-min=10 --tmp=5G --tres-bind=x
--tres-per-task=x --uid=me --use-min-nodes --verbose --wait --wait-all-nodes=1 --wckey=x --wrap=true -p
long -x n1 -w n2 -Zq --unheard-of --unheard-of=5
"""

# Keys of SkyPilot's task, each with a value, at the top or under `resources`.
SKYPILOT = """
name: x|num_nodes: 3|workdir: src|workdir: /nowhere|workdir: {url: "https://example.org/x.git"}
setup: echo a|envs: {A: b}|envs: {A: }|envs: {"not a name": b}|envs: [1]|secrets: {TOKEN: }
secrets: {TOKEN: hidden}|file_mounts: {/a: ./b}|volumes: {/mnt: vol}|service: {port: 1}
pool: {workers: 2}|config: {kubernetes: {}}|experimental: {x: 1}|event_callback: echo|labels: {a: b}
no_such_key: 5|storage_mounts: {/a: b}|priority: 3|resources.infra: aws|resources.cloud: gcp
resources.region: us|resources.zone: a|resources.accelerators: T4|resources.accelerators: "A100:2"
resources.accelerators: {L4: 1}|resources.accelerators: [L4, T4]|resources.accelerators: {nosuch: 1}
resources.accelerators: tpu-v5litepod-4|resources.accelerators: "T4:0.5"
resources.accelerator_args: {runtime_version: x}|resources.cpus: 4+|resources.cpus: many
resources.memory: 16+|resources.memory: 4x|resources.instance_type: x|resources.use_spot: true
resources.disk_size: 100|resources.disk_tier: best|resources.network_tier: best|resources.ports: 80
resources.image_id: x|resources.labels: {a: b}|resources.any_of: [{accelerators: L4}]
resources.ordered: [{cloud: aws}]|resources.job_recovery: none
resources.job_recovery: {max_restarts_on_errors: 1}|resources.job_recovery: {strategy: FAILOVER}
resources.autostop: 5|resources.autostop: false
resources.autostop: {idle_minutes: 5, down: true, hook: x}|resources.priority: 1
resources.local_disk: nvme
"""

# Keys of dstack's configurations, likewise.
DSTACK = """
name: x|image: x|python: "3.12"|nvcc: true|docker: true|user: root|privileged: true|entrypoint: sh
nodes: 2|working_dir: src|working_dir: /nowhere|env: [A=b]|env: [A]|env: {A: b}
env: {A: "${{ secrets.a }}"}|env: [[1]]|registry_auth: {username: x}|home_dir: /root|shell: bash
setup: [echo a]|init: [echo a]|ide: vscode|version: "1"|ports: [80]|port: 80|model: x|gateway: x
https: false|auth: false|replicas: 2|scaling: {metric: rps}|probes: []|rate_limits: []|strip_prefix: true
volumes: [x]|files: [x]|repos: [x]|backends: [aws]|regions: [us]|priority: 1|availability_zones: [a]
instance_types: [x]|reservation: x|spot_policy: auto|retry: true|retry: {on_events: [error]}
retry: {on_events: [no-capacity], duration: 1h}|max_duration: 2h|max_duration: 90|max_duration: soonish
stop_duration: 10m|max_price: 2.0|creation_policy: reuse|idle_duration: 5m|idle_duration: off
idle_duration: 0|utilization_policy: {min_gpu_utilization: 1, time_window: 1h}|startup_order: any
stop_criteria: all-done|schedule: {cron: "* * * * *"}|fleets: [f]|tags: {a: b}|inactivity_duration: 1h
single_branch: true|no_such_key: 5|resources.cpu: 4|resources.cpu: arm:4..|resources.cpu: 2..8
resources.memory: 8GB..|resources.memory: 8..16GB|resources.shm_size: 1GB|resources.gpu: 24GB
resources.gpu: "A100:80GB:2"|resources.gpu: "H100,A100:1..4"|resources.gpu: amd|resources.gpu: nosuch
resources.gpu: {name: T4, count: 2}|resources.gpu: {memory: 16GB..24GB}|resources.gpu: {vendor: google}
resources.gpu: {compute_capability: 8.0}|resources.gpu: {total_memory: 80GB}|resources.disk: 100GB
resources.disk: {size: 50GB..}|resources.disk: {nosuch: 1}
"""


def rows(table: str) -> list[str]:
    return [one.strip() for line in table.strip().splitlines() for one in line.split("|")]


def typed(table: str) -> list[str]:
    """`-c 8` is one option."""
    found: list[str] = []
    for word in table.split():
        if word.startswith("-"):
            found.append(word)
        else:
            found[-1] += f" {word}"
    return found


def yaml_of(row: str, rest: str) -> tuple[str, int]:
    """The row as a file, and its line."""
    if row.startswith("resources."):
        return f"{rest}resources:\n  {row.removeprefix('resources.')}\n", rest.count("\n") + 2
    return f"{rest}{row}\n", rest.count("\n") + 1


@pytest.mark.parametrize("option", typed(OPTIONS))
def test_every_option_of_sbatch_counts(converter: Any, option: str) -> None:
    """With it, another job or a line in the list."""
    without, converted = converter.sbatch(), converter.sbatch(option)
    assert converted.spec != without.spec or 2 in converted.listed
    assert set(converted.listed) <= {2}


@pytest.mark.parametrize("option", ["--nodes=1", "--ntasks=1", "--export=ALL", "--ntasks-per-node=1"])
def test_what_is_so_anyway_needs_no_word(converter: Any, option: str) -> None:
    """One machine, one process, the shell's environment."""
    assert (converter.sbatch(option).spec.run, converter.sbatch(option).left) == (
        converter.sbatch().spec.run,
        [],
    )


@pytest.mark.parametrize("line", ["stray", "-c 8 stray", "--mem=4G stray -t 5"])
def test_words_that_are_no_options_are_listed(converter: Any, line: str) -> None:
    """Whatever stands behind `#SBATCH`."""
    assert "stray" in converter.sbatch(line).listed[2]


@pytest.mark.parametrize("row", rows(SKYPILOT))
def test_every_key_of_skypilot_counts(converter: Any, row: str) -> None:
    """With it, another job or a line in the list."""
    without = converter("run: python train.py\n", "task.yaml")
    text, line = yaml_of(row, "run: python train.py\n")
    converted = converter(text, "task.yaml")
    assert converted.spec != without.spec or line in converted.listed, converted.text
    assert set(converted.listed) <= {line}


@pytest.mark.parametrize("row", rows(DSTACK))
def test_every_key_of_dstack_counts(converter: Any, row: str) -> None:
    """With it, another job or a line in the list."""
    rest = "type: task\ncommands: [python train.py]\n"
    without = converter(rest, "x.dstack.yml")
    text, line = yaml_of(row, rest)
    converted = converter(text, "x.dstack.yml")
    assert converted.spec != without.spec or line in converted.listed, converted.text
    assert set(converted.listed) <= {line}


@SLOW
@given(st.lists(st.sampled_from(typed(OPTIONS)), min_size=2, max_size=12, unique_by=lambda one: one[:5]))
def test_options_do_not_hide_each_other(converter: Any, options: list[str]) -> None:
    """Each that is listed alone is listed among others too."""
    together = converter.sbatch(*options)
    for at, option in enumerate(options):
        alone = converter.sbatch(option)
        if alone.left:
            assert at + 2 in together.listed, (option, together.text)


WORDS = st.text(alphabet="abcxyz_-:{}[]&*<>|\"'# \n\t0159,.!?%@`~$()=/\\é漢，\u200b\x00", max_size=30)


@SLOW
@given(WORDS, st.lists(WORDS, max_size=4), st.sampled_from(["job.sbatch", "sky.yaml", "x.dstack.yml"]))
def test_any_text_is_read_or_refused(converter: Any, value: str, lines: list[str], name: str) -> None:
    """What comes out loads (the fixture reads it); a file that cannot be read says so."""
    body = "\n".join(lines)
    if name == "job.sbatch":
        text = f"#!/bin/bash\n#SBATCH --job-name={value}\n#SBATCH {value}\n{body}\n"
    else:
        text = f"name: {value}\nrun: |\n  python train.py\n{body}\n"
    try:
        converted = converter(text, name)
    except (JobFileError, UsageError) as error:
        assert error.what
    else:
        assert converted.spec.run.text.strip()


@SLOW
@given(st.text(max_size=200))
def test_a_script_arrives_as_it_was(converter: Any, text: str) -> None:
    """A body of any characters that a job file can hold; what it cannot is listed, never altered."""
    body = "true\n" + text.replace("\r", "").replace("#SBATCH", "")
    found = converter(f"#!/bin/bash\n#SBATCH -t 5\nset -e\n{body}", "job.sbatch")
    said = found.spec.run.text
    if 0 not in found.listed and not any("SLURM" in line or "srun" in line for line in body.splitlines()):
        assert [line.rstrip() for line in said.rstrip().split("\n")] == [
            line.rstrip() for line in f"set -e\n{body}".rstrip().splitlines()
        ]
