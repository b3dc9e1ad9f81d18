"""A job is started again by real processes: how its attempts end, what they see, and who may end it all."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from guard.test_memory import ALLOCATE, MB, MemoryGroup, small
from guard.test_stalled import HANGS
from helpers.lab import until
from launcher.ledger.model import State, problems
from launcher.ledger.store import Ledger
from launcher.release import lease

if TYPE_CHECKING:
    from helpers.lab import Lab

__all__ = ["small"]
TTY = pytest.mark.parametrize("words", [[], ["--tty"], ["--json"]], ids=["pipes", "terminal", "json"])
SOON = {"max_restarts": 2, "backoff": "0.05s"}
# Each attempt leaves a line of its own, whatever becomes of its output.
MARK = 'echo "$COLAB_RUN_ATTEMPT" >> marks\n'


def marks(lab: Lab) -> list[str]:
    """The attempts that really ran, in order."""
    return lab.lines("marks")


def rows(lab: Lab) -> list[Any]:
    """The ledger's rows of the one run, which have to be in order."""
    ledger = Ledger.open(str(lab.home), lease.boot_id(), read_only=True)
    run_id = lab.result()["run_id"]
    # A client hears of the end a moment before the last row is written.
    until(lambda: ledger.rows(run_id)[-1].state is State.DONE, "the last row")
    found = ledger.rows(run_id)
    ledger.close()
    assert problems(found) == []
    return found


def tells_the_same(lab: Lab) -> list[dict[str, Any]]:
    """`attempt_log`, once marks, ledger and document agree on it."""
    document = lab.result()
    log = document["attempt_log"]
    assert [row["attempt"] for row in log] == list(range(1, document["attempts"] + 1))
    again = [row.facts for row in rows(lab) if row.state is State.RETRYING]
    kept = [{name: facts[name] for name in row} for facts, row in zip(again, log, strict=False)]
    assert kept == [row for row in log if row["next_in_s"] is not None]
    return log


def classes(lab: Lab) -> list[str | None]:
    """Of each attempt."""
    return [row["class"] for row in tells_the_same(lab)]


# --- how attempts end -----------------------------------------------------------------------------


@TTY
def test_it_fails_twice_and_then_succeeds(lab: Lab, words: list[str]) -> None:
    """One log, one setup, one exit code: that of the last attempt; each is said."""
    run = MARK + 'echo "attempt $COLAB_RUN_ATTEMPT"; [ "$COLAB_RUN_ATTEMPT" = 3 ] || exit 4'
    end = lab.run("run", *words, lab.job(setup="echo setup", run=run, retry=SOON))
    assert (end.code, marks(lab)) == (0, ["1", "2", "3"]), end.err
    assert lab.log().replace(b"\r", b"") == b"setup\nattempt 1\nattempt 2\nattempt 3\n"
    shown = end.err if words == ["--json"] else end.out
    assert shown.count(b"attempt 1") == 1 if words != ["--json"] else b"attempt 1" in shown
    assert b"attempt 1 failed with exit code 4; again in " in end.err and b"(1 of 2)" in end.err
    assert b"attempt 3 begins" in end.err
    assert classes(lab) == ["error", "error", None]
    told = [row.state.value for row in rows(lab)]
    assert told == [
        *("planned", "started", "started", "retrying", "started", "retrying", "started", "ended"),
        "done",
    ]
    if words == ["--json"]:
        assert end.document["attempt_log"] == lab.result()["attempt_log"]


def test_it_fails_too_often(lab: Lab) -> None:
    """The last code counts, and it is said that there is no more."""
    end = lab.run("run", lab.job(run=MARK + "exit $((10 + COLAB_RUN_ATTEMPT))", retry=SOON))
    assert (end.code, marks(lab)) == (13, ["1", "2", "3"]), end.err
    assert b"attempt 3 failed with exit code 13; it was started again 2 times" in end.err
    assert [row["exit_code"] for row in tells_the_same(lab)] == [11, 12, 13]
    ended = next(row.facts for row in rows(lab) if row.state is State.ENDED)
    assert (ended["attempts"], ended["not_again"]) == (3, "used-up")


def test_without_the_key_it_is_started_once(lab: Lab) -> None:
    """One row, and nothing is said of attempts."""
    end = lab.run("run", lab.job(run=MARK + "exit 5"))
    assert (end.code, marks(lab)) == (5, ["1"])
    assert b"attempt" not in end.err
    (row,) = tells_the_same(lab)
    assert (row["outcome"], row["class"], row["next_in_s"]) == ("failed", "error", None)


@pytest.mark.parametrize("number", [9, 11, 15])
def test_signals(lab: Lab, number: int) -> None:
    """A signal that nobody of us has sent."""
    run = MARK + f'[ "$COLAB_RUN_ATTEMPT" = 2 ] || kill -{number} $$'
    end = lab.run("run", lab.job(run=run, retry=SOON))
    assert (end.code, classes(lab)) == (0, ["signal", None]), end.err
    assert f"ended by {signal.Signals(number).name}".encode() in end.err


def test_only_what_is_listed(lab: Lab) -> None:
    """An error is not asked to be repeated here."""
    end = lab.run("run", lab.job(run=MARK + "exit 3", retry={**SOON, "on": ["signal", "oom"]}))
    assert (end.code, marks(lab)) == (3, ["1"])
    assert next(row.facts for row in rows(lab) if row.state is State.ENDED)["not_again"] == "not-listed"


def test_a_setup_that_fails_is_not_repeated(lab: Lab) -> None:
    """`run` was not started, and is not."""
    end = lab.run("run", lab.job(setup="echo >> setups; exit 6", run=MARK, retry=SOON))
    assert (end.code, marks(lab), lab.lines("setups")) == (6, [], [""])


def test_could_not_start(lab: Lab) -> None:
    """The program comes to be a moment later: the setup of the first attempt has made it busy."""
    run = ["./program"]
    lab.script("program", "#!/bin/sh\necho no\n", mode=0o644)
    job = lab.job(run=run, retry={"max_restarts": 50, "on": ["could_not_start"], "backoff": "0.2s"})
    process = lab.start("run", job)
    until(lambda: lab.result().get("next_attempt"), "a pause")
    lab.script("program", '#!/bin/sh\necho "$COLAB_RUN_ATTEMPT" >> marks\n')
    end = lab.end(process)
    assert end.code == 0, end.err
    assert b"attempt 1 could not start: ./program: Permission denied; again in " in end.err
    *before, last = tells_the_same(lab)
    assert {row["class"] for row in before} == {"could_not_start"} and last["class"] is None
    assert marks(lab) == [str(last["attempt"])]


def test_detach_waits_until_it_has_really_started(lab: Lab) -> None:
    """`run --detach` comes back with the first attempt that began, and `wait` with the last code."""
    lab.script("program", "#!/bin/sh\necho no\n", mode=0o644)
    retry = {"max_restarts": 50, "on": ["could_not_start"], "backoff": "0.2s"}
    process = lab.start("run", "--detach", "--json", lab.job(run=["./program"], retry=retry))
    until(lambda: lab.result().get("next_attempt"), "a pause")
    lab.script("program", '#!/bin/sh\necho "$COLAB_RUN_ATTEMPT" >> marks; exit 9\n')
    end = lab.end(process)
    assert end.code == 0 and end.document["attempts"] > 1
    assert lab.run("wait", end.document["run_id"]).code == 9


def test_leftovers_end_with_their_attempt(lab: Lab) -> None:
    """No process of an attempt lives beside the next one."""
    run = 'test -z "$(cat daemon 2>/dev/null | xargs -r ps -o stat= -p | grep -v Z)" || exit 99\n'
    run += f'{MARK}(setsid sleep 100 & echo $! > daemon); [ "$COLAB_RUN_ATTEMPT" = 3 ] || exit 1'
    end = lab.run("run", lab.job(run=run, retry=SOON, stop_grace="1s"))
    assert (end.code, marks(lab)) == (0, ["1", "2", "3"]), end.err
    assert b"3 processes that it left behind were stopped" in end.err


# --- out of memory --------------------------------------------------------------------------------


def test_the_machines_memory(lab: Lab, small: MemoryGroup) -> None:
    """The kernel's count, and a process of ours: the next attempt gets what `env_on_oom` says."""
    allocate = lab.python("allocate.py", ALLOCATE)
    run = MARK + 'echo "$COLAB_RUN_OOMS $SIZE" >> sizes\n' + f"{allocate} ${{SIZE}}"
    retry = {**SOON, "on": ["oom"], "env_on_oom": {"SIZE": [str(300 * MB), str(10 * MB)]}}
    job = lab.job(run=run, env={"SIZE": str(400 * MB)}, retry=retry)
    end = lab.run("run", "--json", job, before=small.enter)
    assert (end.code, classes(lab)) == (0, ["oom", "oom", None]), end.err
    assert lab.lines("sizes") == [f"0 {400 * MB}", f"1 {300 * MB}", f"2 {10 * MB}"]
    assert b"attempt 1: memory ran out; again in" in end.err
    assert f"attempt 3 begins, with SIZE={10 * MB}".encode() in end.err


def test_a_neighbours_memory(lab: Lab, small: MemoryGroup) -> None:
    """It is killed in the same group while our job fails for a reason of its own: an error, nothing else."""
    allocate = lab.python("allocate.py", ALLOCATE)
    run = MARK + "touch ready; until [ -e go ]; do sleep 0.01; done; exit 3"
    process = lab.start("run", lab.job(run=run, retry={**SOON, "on": ["oom"]}), before=small.enter)
    lab.seen("marks")
    neighbour = lab.start(argv=["sh", "-c", f"{allocate} {400 * MB}"], before=small.enter)
    assert neighbour.wait(30) in (137, -9)
    neighbour.communicate()
    (lab.work / "go").touch()
    end = lab.end(process)
    assert (end.code, classes(lab)) == (3, ["error"]), end.err
    assert lab.result()["out_of_memory"] is None


def test_the_memory_of_a_gpu(lab: Lab) -> None:
    """Its own words and a failure together; the words of an attempt are not the next one's."""
    said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    run = f'{MARK}[ "$COLAB_RUN_ATTEMPT" = 1 ] && echo "{said}" >&2\nexit 1'
    end = lab.run("run", "--json", lab.job(run=run, retry={**SOON, "on": ["oom"]}))
    assert (end.code, classes(lab)) == (1, ["oom", "error"]), end.err
    assert b"attempt 1: the memory of a GPU ran out; again in" in end.err
    assert end.document["out_of_memory"] is None


def test_a_gpu_whose_memory_ran_out_is_named_without_the_key_too(lab: Lab) -> None:
    """In the last block, with what to write into the job file, and in the JSON."""
    end = lab.run("run", "--json", lab.job(run="echo RuntimeError: CUDA error: out of memory >&2; exit 1"))
    assert "CUDA error: out of memory" in end.document["out_of_memory"]
    assert end.document["out_of_memory_on"] == "gpu"
    assert b"env_on_oom" in end.err


def test_an_error_that_the_job_caught(lab: Lab) -> None:
    """It says so, goes on, and ends well: nothing has run out."""
    end = lab.run("run", "--json", lab.job(run=f"{MARK}echo CUDA out of memory", retry=SOON))
    assert (end.code, classes(lab)) == (0, [None])
    assert end.document["out_of_memory"] is None


# --- limits and persons ---------------------------------------------------------------------------


def test_max_duration_counts_over_all_attempts(lab: Lab) -> None:
    """The second attempt is ended by what the first one and the pause have left of it."""
    run = MARK + '[ "$COLAB_RUN_ATTEMPT" = 2 ] && exec sleep 100\nsleep 1.5; exit 1'
    end = lab.run("run", lab.job(run=run, max_duration="3s", stop_grace="1s", retry=SOON))
    assert (end.code, marks(lab)) == (124, ["1", "2"]), end.err
    first, second = tells_the_same(lab)
    assert (first["class"], second["outcome"], second["class"]) == ("error", "over_limit", None)
    # Half of it, and what a busy machine may be late.
    assert second["duration_s"] < 2.8
    assert 2.9 < lab.result()["duration_s"] < 6


def test_no_attempt_that_the_limit_would_forestall(lab: Lab) -> None:
    """A pause that would outlast max_duration is not begun: the failure is the last word, at once."""
    end = lab.run(
        "run",
        lab.job(run=MARK + "exit 7", max_duration="20s", retry={"max_restarts": 5, "backoff": "60s"}),
    )
    assert (end.code, marks(lab)) == (7, ["1"]), end.err
    assert next(row.facts for row in rows(lab) if row.state is State.ENDED)["not_again"] == "no-time"


@TTY
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_in_the_pause(lab: Lab, words: list[str], number: int, code: int) -> None:
    """Nothing is started again; the run is one that a person ended."""
    job = lab.job(run=MARK + "exit 3", retry={"max_restarts": 5, "backoff": "500s"})
    process = lab.start("run", *words, job)
    pause = until(lambda: lab.result().get("next_attempt"), "a pause")
    assert pause["attempt"] == 2
    process.send_signal(number)
    end = lab.end(process)
    assert (end.code, marks(lab)) == (code, ["1"]), end.err
    assert lab.result()["outcome"] == "interrupted"
    assert [row["attempt"] for row in lab.result()["attempt_log"]] == [1]
    assert [row.state.value for row in rows(lab)][2:] == ["retrying", "ended", "done"]


def test_stop_from_another_shell_in_the_pause(lab: Lab) -> None:
    """`ps` shows when it goes on; `stop` ends it with 130."""
    job = lab.job(name="train", run=MARK + "exit 3", retry={"max_restarts": 5, "backoff": "500s"})
    assert lab.run("run", "--detach", job).code == 0
    until(lambda: lab.result().get("next_attempt"), "a pause")
    shown = lab.run("ps").out
    assert b"attempt 2" in shown, shown
    assert lab.run("stop", "train").code == 0
    assert lab.run("wait", "train").code == 130
    assert marks(lab) == ["1"]


def test_a_stop_of_an_attempt(lab: Lab) -> None:
    """A person ended it: no other attempt follows, whatever its code."""
    run = MARK + "trap 'exit 3' INT TERM\nsleep 100 & wait"
    process = lab.start("run", lab.job(run=run, retry=SOON, stop_grace="5s"))
    lab.seen("marks")
    process.send_signal(signal.SIGINT)
    end = lab.end(process)
    assert (end.code, marks(lab)) == (130, ["1"]), end.err
    assert tells_the_same(lab)[0]["class"] is None


def test_a_stalled_job(lab: Lab) -> None:
    """`idle: {action: stop}` and `on: [stalled]`: it is started again."""
    run = f'{MARK}[ "$COLAB_RUN_ATTEMPT" = 2 ] || {lab.python("hangs.py", HANGS)}'
    idle = {"after": "1s", "action": "stop"}
    job = lab.job(run=run, retry={**SOON, "on": ["stalled"]}, idle=idle, stop_grace="1s")
    end = lab.run("run", job)
    assert (end.code, classes(lab)) == (0, ["stalled", None]), end.err
    assert b"attempt 1 had stalled; again in" in end.err


# --- the streams ----------------------------------------------------------------------------------


def test_a_terminal_for_every_attempt(lab: Lab) -> None:
    """The same one: it is the controlling terminal of each, and takes keys."""
    terminal = lab.terminal()
    run = MARK + 'test -t 0 && exec < /dev/tty\nread -r line; echo "got $line"; [ "$line" = two ]'
    process = lab.start_on(terminal, "run", lab.job(run=run, retry=SOON))
    lab.seen("marks")
    terminal.type(b"one\n")
    lab.seen("marks", 2)
    terminal.type(b"two\n")
    assert lab.wait(process) == 0
    assert b"got one" in lab.log() and b"got two" in lab.log()


def test_stdin_goes_on_where_it_was(lab: Lab) -> None:
    """A pipe cannot be rewound: the next attempt reads what is left of it."""
    run = ["sh", "-c", f'{MARK}read -r line; echo "got $line"; test "$line" = two']
    process = lab.start("run", lab.job(run=run, retry=SOON), stdin=-1)
    end = lab.end(process, b"one\ntwo\n")
    assert (end.code, end.out) == (0, b"got one\ngot two\n")


def test_long_output_of_each_attempt_is_whole(lab: Lab) -> None:
    """What was still in the pipe at the end of an attempt stands before the next one's."""
    run = 'seq -f "$COLAB_RUN_ATTEMPT %.0f" 30000; [ "$COLAB_RUN_ATTEMPT" = 3 ] || exit 1'
    end = lab.run("run", lab.job(run=run, retry=SOON))
    assert end.out == b"".join(b"%d %d\n" % (n, i) for n in (1, 2, 3) for i in range(1, 30001))
    assert lab.log() == end.out


def test_the_environment_of_an_attempt(lab: Lab) -> None:
    """Its number, and how often memory ran out; the run is the same."""
    run = 'echo "$COLAB_RUN_ID $COLAB_RUN_ATTEMPT $COLAB_RUN_OOMS" >> seen; [ $COLAB_RUN_ATTEMPT = 2 ]'
    assert lab.run("run", lab.job(run=run, retry=SOON)).code == 0
    run_id = lab.result()["run_id"]
    assert lab.lines("seen") == [f"{run_id} 1 0", f"{run_id} 2 0"]
    assert os.path.basename(lab.result()["log"]) == "log"
