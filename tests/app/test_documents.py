"""The JSON documents and the result file: what scripts rely on."""

from __future__ import annotations

import json
import signal

import pytest

from helpers import fake_nvml
from helpers.scene import Scene, until

RUN_FIELDS = {
    "schema_version", "job", "run_id", "state", "outcome", "exit_code", "decided_by", "started", "attempts",
    "duration_s", "compute_units", "peak_ram_bytes", "peak_gpu_bytes", "out_of_memory", "log", "log_saved_to",
    "saved", "release", "money_still_running",
}  # fmt: skip


def test_run_json_is_one_document_with_every_field(scene: Scene) -> None:
    """stdout is the document alone; the job's own output is on stderr, and in the log."""
    ended = scene.run_job("run: echo to-out; echo to-err >&2; exit 3\n", "--json")
    document = ended.document
    assert ended.code == document["exit_code"] == 3
    assert set(document) >= RUN_FIELDS
    assert (document["schema_version"], document["state"]) == (1, "done")
    assert (document["outcome"], document["decided_by"], document["attempts"]) == ("failed", "job", 1)
    assert "to-out\nto-err\n" in ended.err
    assert scene.logs() == [b"to-out\nto-err\n"]
    assert document["compute_units"] == {"unknown": "no-rate"}


@pytest.mark.parametrize(
    ("job", "code", "outcome"),
    [
        ("run: true\n", 0, "succeeded"),
        ("resources: {ram: 900TB}\nrun: true\n", 69, "refused"),
        ("rum: true\n", 65, None),
    ],
)
def test_the_document_tells_who_decided(scene: Scene, job: str, code: int, outcome: str | None) -> None:
    """A job may end with 65 or 69 itself: `decided_by` and `--result` tell them apart."""
    for words in (("--json",), ("--result", "result.json")):
        ended = scene.run_job(job, *words)
        text = ended.out if words == ("--json",) else (scene.work / "result.json").read_text()
        document = json.loads(text)
        assert (ended.code, document["exit_code"], document["outcome"]) == (code, code, outcome)
        assert document["decided_by"] == ("job" if code == 0 else "colab-run")
        assert set(document) >= RUN_FIELDS
    ended = scene.run_job(f"run: exit {code}\n", "--json")
    assert (ended.code, ended.document["decided_by"]) == (code, "job")


def test_problems_are_in_the_document(scene: Scene) -> None:
    """65: every problem with file, place, key and code."""
    for words in (("run",), ("check",)):
        ended = scene.run(*words, scene.write_job("resources: {ram: 50}\nrum: true\n"), "--json")
        assert ended.code == 65
        rows = [(row["line"], row["column"], row["code"]) for row in ended.document["problems"]]
        assert rows == sorted(rows)
        assert {"CR231", "CR220", "CR222"} == {code for _, _, code in rows}


def test_the_result_file_follows_the_run(scene: Scene) -> None:
    """It is there while the job runs, says `started`, is never half written, and ends with `done`."""
    result = scene.work / "result.json"
    process = scene.start("run", scene.write_job("run: touch ready; sleep 100\n"), "--result", "result.json")
    until((scene.work / "ready").exists, "the job")
    document = until(
        lambda: now if (now := json.loads(result.read_text()))["state"] == "started" else None, "`started`"
    )
    assert (document["exit_code"], document["outcome"]) == (None, None)
    assert document["processes"]["run"] > 0
    process.send_signal(signal.SIGTERM)
    assert scene.end(process).code == 143
    document = json.loads(result.read_text())
    assert (document["state"], document["exit_code"], document["outcome"]) == ("done", 143, "interrupted")
    assert scene.results() == [document]
    assert [path.name for path in scene.work.glob("result.json*")] == ["result.json"]


def test_secrets_are_masked_in_everything_that_is_ours(scene: Scene) -> None:
    """The job gets the value, its log keeps what it printed (0600), and no file or word of ours shows it."""
    value = "hf_aVeryLongSecretValue"
    ended = scene.run_job(
        'secrets: [HF_TOKEN]\nrun: [/no/such/hf_aVeryLongSecretValue, "x"]\n',
        "--json",
        env={"HF_TOKEN": value},
    )
    assert ended.code == 127
    ours = ended.out + ended.err + json.dumps(scene.results())
    assert value not in ours
    assert "***" in ours
    printed = scene.run_job('secrets: [HF_TOKEN]\nrun: echo "$HF_TOKEN"\n', env={"HF_TOKEN": value})
    assert printed.out == f"{value}\n"


def test_a_secret_that_is_not_set_refuses(scene: Scene) -> None:
    """69, with the cell that brings a Colab secret into the environment, or the line for a shell."""
    job = "secrets: [HF_TOKEN]\nrun: touch started\n"
    with scene.managed():
        on_colab = scene.run_job(job)
        del scene.env["TBE_RUNTIME_ADDR"]
    elsewhere = scene.run_job(job)
    assert (on_colab.code, elsewhere.code) == (69, 69)
    assert "userdata.get('HF_TOKEN')" in on_colab.err
    assert "export HF_TOKEN=" in elsewhere.err
    assert not (scene.work / "started").exists()


def test_set_changes_a_key(scene: Scene) -> None:
    """`--set` overrides the file before it is checked."""
    job = "env: {GREETING: hello}\nrun: echo $GREETING\n"
    assert scene.run_job(job, "--set", "env.GREETING=bye").out == "bye\n"
    assert scene.run_job(job, "--set", "max_duration=5").code == 65


def test_check_json(scene: Scene) -> None:
    """The verdict, every finding, the advice and the facts."""
    job = scene.write_job("resources: {gpu: A100, ram: 900TB, cpus: 1}\nrun: true\n")
    ended = scene.run("check", job, "--json")
    assert (ended.code, ended.document["verdict"]) == (69, "short")
    findings = {row["requirement"]: row["status"] for row in ended.document["findings"]}
    assert findings == {"gpu": "short", "ram": "short", "cpus": "met"}
    assert ended.document["runtime"]["gpus"] == []
    assert set(ended.document["findings"][0]) == {"requirement", "wanted", "found", "status", "code"}


def test_probe_json(scene: Scene) -> None:
    """Every fact of the contract; nothing is null where it is unknown."""
    document = scene.run("probe", "--json").document
    assert {"gpus", "ram_bytes", "disk_free_bytes", "cpus", "platform", "uptime_s", "releasable"} <= set(
        document
    )
    assert (document["gpus"], document["platform"], document["releasable"]) == ([], "plain", False)
    assert document["ram_bytes"] > 10**8


def test_a_workdir_that_is_not_there_is_a_problem_at_its_place(scene: Scene) -> None:
    """65, as any other problem of the file."""
    ended = scene.run("check", scene.write_job("run: true\nworkdir:  nowhere\n"), "--json")
    assert ended.code == 65
    (row,) = ended.document["problems"]
    assert (row["line"], row["column"], row["code"]) == (2, 11, "CR241")


# --- with a driver ------------------------------------------------------------------------------


@pytest.fixture
def gpu_scene(scene: Scene) -> Scene:
    """A scene whose machine has the driver library that the test names."""
    if fake_nvml.compiler() is None:
        pytest.skip("no C compiler for the driver library")
    return scene


def under(scene: Scene, scenario: str) -> dict[str, str]:
    """The environment of a machine with this driver."""
    folder = scene.folder / scenario
    folder.mkdir(exist_ok=True)
    return fake_nvml.environment(scenario, folder)


def test_a_job_runs_on_the_gpu_it_asked_for_and_its_memory_is_seen(gpu_scene: Scene) -> None:
    """On a T4 a job that asks for one starts, and the peak of GPU memory is in the document."""
    env = under(gpu_scene, "t4")
    ended = gpu_scene.run_job("resources: {gpu: T4}\nrun: sleep 3\n", "--json", env=env)
    assert ended.code == 0, ended.err
    assert isinstance(ended.document["peak_gpu_bytes"], int)


def test_an_unknown_gpu_does_not_start_a_job_unless_accepted(gpu_scene: Scene) -> None:
    """A driver that cannot be asked: 69 with `unknown`, and --accept-unknown is the word that starts it."""
    env = under(gpu_scene, "driver-mismatch")
    job = "resources: {gpu: T4}\nrun: echo started\n"
    refused = gpu_scene.run_job(job, "--json", env=env)
    assert (refused.code, refused.document["outcome"]) == (69, "refused")
    assert refused.document["findings"][0]["found"] == {"unknown": "driver-mismatch"}
    assert gpu_scene.run_job(job, "--accept-unknown", env=env).out == "started\n"


def test_a_driver_that_hangs_neither_stops_the_answer_nor_the_run(gpu_scene: Scene) -> None:
    """Two seconds, `unknown`, and a job that needs no GPU runs to its end."""
    env = under(gpu_scene, "hang")
    probed = gpu_scene.run("probe", "--json", env=env)
    assert probed.document["gpus"] == {"unknown": "timeout"}
    assert gpu_scene.run_job("run: echo done\n", env=env).out == "done\n"
