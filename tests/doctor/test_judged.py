"""What `doctor` makes of what it reads, without any machine; and what is taken out of its words."""

from __future__ import annotations

import time

import pytest

from launcher.doctoring import gpus, machine, programs, runs, storage
from launcher.doctoring.collect import Check, examine
from launcher.doctoring.model import Health, Row, good, row_from_plain
from launcher.doctoring.privacy import Scrubber
from launcher.probes.cgroup import Limits
from launcher.release.marks import RunNote
from launcher.values import Known, Unknown
from launcher.words import words


@pytest.mark.parametrize(
    ("row", "health"),
    [
        (programs.judge_python((3, 9, 1), []), Health.FAIL),
        (programs.judge_python((3, 11, 1), [programs.Needed("rich", "13", "13.0.1")]), Health.OK),
        (programs.judge_python((3, 11, 1), [programs.Needed("rich", "13.0", "13")]), Health.OK),
        (programs.judge_python((3, 11, 1), [programs.Needed("rich", "13", "12.9")]), Health.FAIL),
        (programs.judge_python((3, 11, 1), [programs.Needed("rich", "13", None)]), Health.FAIL),
        (programs.judge_programs({"bash": "5.2", "python": None, "python3": "3.11.2"}, "3.11"), Health.OK),
        (programs.judge_programs({"bash": "5.2", "python": None, "python3": None}, "3.11"), Health.FAIL),
        (programs.judge_programs({"bash": "5.2", "python": "", "python3": "3.1"}, "3.11"), Health.FAIL),
        (programs.judge_locale("utf-8", "en"), Health.OK),
        (programs.judge_locale("ascii", "en"), Health.FAIL),
        (machine.judge_cgroup("v2", Known(Limits(2**30)), ("/sys/fs/cgroup/memory.events",)), Health.OK),
        (machine.judge_cgroup("v2", Known(Limits()), ("/proc/vmstat",)), Health.UNKNOWN),
        (machine.judge_cgroup("", Unknown("no-cgroup-file"), ()), Health.UNKNOWN),
        (machine.judge_shm(None, 0, writable=False), Health.FAIL),
        (machine.judge_shm(64 << 20, 1, writable=True), Health.UNKNOWN),
        (machine.judge_shm(8 << 30, 1, writable=True), Health.OK),
        (machine.judge_clock(machine.Times(0.0, 0.0, 0)), Health.FAIL),
        (machine.judge_clock(machine.Times(machine.EARLIEST + 1, 5.0, 0)), Health.FAIL),
        (machine.judge_clock(machine.Times(machine.EARLIEST + 1, 0.0, 0, (("/tmp", -90.0),))), Health.FAIL),
        (machine.judge_clock(machine.Times(machine.EARLIEST + 1, 0.0, -12600)), Health.OK),
        (machine.judge_supervision(machine.Means(subreaper="Operation not permitted")), Health.FAIL),
        (machine.judge_supervision(machine.Means(sockets="not a folder for us alone")), Health.FAIL),
        (machine.judge_supervision(machine.Means(pidfd="Function not implemented")), Health.OK),
        (storage.judge_state(None), Health.FAIL),
        (storage.judge_state(storage.Folder("/x", True, True, 0o700, "nfs4", "", 10**12)), Health.FAIL),
        (storage.judge_state(storage.Folder("/x", True, False, 0o700, "ext4", "", 10**12)), Health.FAIL),
        (storage.judge_state(storage.Folder("/x", True, True, 0o755, "ext4", "", 10**12)), Health.OK),
        (storage.judge_state(storage.Folder("/x", True, True, 0o700, "ext4", "", 10**6)), Health.FAIL),
        (storage.judge_ledger("newer-schema", 0), Health.FAIL),
        (storage.judge_ledger("locked", 0), Health.UNKNOWN),
        (storage.judge_disk([storage.Room("/tmp", 10**12, 3)]), Health.FAIL),
        (storage.judge_disk([storage.Room("/tmp", 10**12, None)]), Health.OK),
        (storage.judge_disk([]), Health.UNKNOWN),
        (storage.judge_drive(storage.Drive("Input/output error", 0, None), on_colab=True), Health.FAIL),
        (storage.judge_drive(storage.Drive("", 10**12, 900.0), on_colab=True), Health.FAIL),
        (storage.judge_drive(None, on_colab=True), Health.ABSENT),
        (runs.judge_leases(runs.Meeting("/x", True, "Permission denied")), Health.FAIL),
        (runs.judge_release("", ""), Health.ABSENT),
        (runs.judge_release("slurm", "why not"), Health.FAIL),
        (gpus.judge_unlisted("not-told"), Health.UNKNOWN),
        (gpus.judge_processes([], ()), Health.OK),
        (gpus.judge_processes([gpus.Holder(7, "python", "run-1")], ("run-1",)), Health.OK),
        (gpus.judge_processes([gpus.Holder(7, "python", "run-1")], ()), Health.FAIL),
        (gpus.judge_processes([gpus.Holder(7, "python")], ()), Health.UNKNOWN),
    ],
)
def test_judgements(row: Row, health: Health) -> None:
    """Each reading comes to the status that it should, and a row is the same after its way out of a child."""
    assert row.health is health, str(row.found)
    assert row_from_plain(row.as_plain()) == row


def test_a_run_of_another_user_is_that_users_affair() -> None:
    """Only its user, or root, can bring it to its end."""
    note = RunNote("20261122-114501-417b", "/home/ann/x", "train", 1000, "")
    assert runs.judge_runs([(note, False)], 1001)[0].health is Health.UNKNOWN
    assert runs.judge_runs([(note, False)], 1000)[0].health is Health.FAIL
    assert runs.judge_runs([(note, False)], 0)[0].health is Health.FAIL


def test_a_watch_at_work_is_no_run() -> None:
    """It has a row of its own."""
    note = RunNote("20261122-114501-417b", "/home/ann/x", "watch", 1000, "", watch=True)
    run, watch = runs.judge_runs([(note, True)], 1000)
    assert (watch.health, note.run_id in str(watch.found)) == (Health.OK, True)
    assert note.run_id not in str(run.found)


def test_checks_end_each_other_never() -> None:
    """One that hangs, one that dies, one that raises and one that works: a row for each, and soon."""

    def hangs() -> list[Row]:
        time.sleep(60)
        return []

    def dies() -> list[Row]:
        raise SystemExit(3)

    def raises() -> list[Row]:
        raise OSError(5, "my secret path")

    began = time.monotonic()
    checks = [
        Check("a", hangs, "fix", hangs=True),
        Check("b", hangs, "fix"),
        Check("c", dies, "fix"),
        Check("d", raises, "fix"),
        Check("e", lambda: [good("e", "fine")], "fix"),
    ]
    found = examine(checks, 5.0)
    assert time.monotonic() - began < 30
    healths = [row.health for row in found]
    assert healths == [Health.FAIL, Health.UNKNOWN, Health.UNKNOWN, Health.UNKNOWN, Health.OK]
    assert "secret" not in str(found[3].found)


SCRUBBER = Scrubber(
    {"HF_TOKEN": "verysecret", "TARGET": "10.0.0.1:80", "PYTHON_VERSION": "3.11.2", "BAR": "python3"}
    | {"HOME": "/home/ann", "FIRM": "acmecorp"},
    homes={"/home/ann"},
    users={"ann", "root"},
    hosts={"box7"},
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/ann/x", "~/x"),
        ("/home/anna/x", "/home/anna/x"),
        ("/data/ann/x", "/data/USER/x"),
        ("POST http://10.0.0.1:80/unassign", "POST http://$TARGET/unassign"),
        ("a verysecret thing", "a *** thing"),
        ("Python 3.11.2", "Python 3.11.2"),
        ("python3 3.11.2", "python3 3.11.2"),
        ("/data/acmecorp", "/data/$FIRM"),
        ("box7: root", "HOST: root"),
        ("hf_abcdefghijkl", "***"),
        ("https://me:pass@host/x", "https://***host/x"),
    ],
)
def test_what_is_taken_out(text: str, clean: str) -> None:
    """Values by their names, homes as ~, people and machines not at all, tokens masked."""
    assert SCRUBBER.plain(text) == clean


def test_our_own_words_stay() -> None:
    """Only what fills a sentence is looked at: here the user is called like a word of it."""
    scrubber = Scrubber({}, homes=(), users={"free"}, hosts=())
    assert str(scrubber.text(words("{size} free", size="free 3 GB"))) == "USER 3 GB free"
