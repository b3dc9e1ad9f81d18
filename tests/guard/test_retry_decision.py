"""Is a job started again? By generated histories; the pauses; what a lack of memory looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.guard import oom
from launcher.guard.gpu_memory import TAIL_BYTES, said_out_of_memory, tail_of
from launcher.guard.model import (
    CouldNotStart,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    OverLimit,
    Refused,
    SetupFailed,
    Signalled,
    Stalled,
    Succeeded,
)
from launcher.guard.retry import (
    JITTER,
    LONGEST_S,
    Again,
    End,
    Stop,
    back_off,
    changed_environment,
    decide,
    may_follow,
)
from launcher.spec.model import RetryOn, RetryPolicy

if TYPE_CHECKING:
    from pathlib import Path

OUTCOMES: tuple[Outcome, ...] = (
    Succeeded(),
    Failed(3),
    Signalled(9),
    SetupFailed(1),
    OverLimit(60.0),
    Stalled(60.0),
    CouldNotStart(127, "no"),
    Interrupted(2),
    Refused(),
    Lost(),
)
NEVER_AGAIN = {"succeeded", "setup_failed", "over_limit", "interrupted", "refused"}
POLICIES = st.builds(
    RetryPolicy,
    max_restarts=st.integers(0, 5),
    on=st.lists(st.sampled_from(list(RetryOn)), min_size=1, unique=True).map(tuple),
    backoff_s=st.floats(0, 3600),
)
ENDS = st.builds(
    End,
    st.sampled_from(OUTCOMES),
    out_of_memory=st.booleans(),
    by_person=st.booleans(),
    survivors=st.booleans(),
    left_s=st.none() | st.floats(-10, 5000),
    cut_off=st.booleans(),
)
SEEDS = st.text(max_size=20)


@given(POLICIES, st.integers(0, 8), ENDS, SEEDS)
def test_only_where_everything_speaks_for_it(policy: RetryPolicy, restarts: int, end: End, seed: str) -> None:
    """Again exactly when the end is listed, a restart is left, time is left, and nobody has stopped it."""
    decided = decide(policy, restarts, end, seed)
    assert decided == decide(policy, restarts, end, seed)
    pause = back_off(policy.backoff_s, restarts, seed)
    wanted = (
        restarts < policy.max_restarts
        and end.outcome.name not in NEVER_AGAIN
        and end.kind in policy.on
        and not (end.by_person or end.survivors or end.cut_off)
        and (end.left_s is None or pause < end.left_s)
    )
    assert decided == Again(pause) if wanted else isinstance(decided, Stop)


@given(POLICIES, st.integers(0, 8), ENDS, SEEDS)
def test_the_streams_are_kept_for_whatever_may_follow(
    policy: RetryPolicy, restarts: int, end: End, seed: str
) -> None:
    """What is known when the main process has ended never says no to what is decided in the end."""
    if isinstance(decide(policy, restarts, end, seed), Again):
        assert may_follow(policy, restarts, end.outcome, by_person=end.by_person)


@given(POLICIES, st.lists(st.sampled_from(OUTCOMES), min_size=20, max_size=20), SEEDS)
def test_a_run_comes_to_its_end(policy: RetryPolicy, outcomes: list[Outcome], seed: str) -> None:
    """Whatever happens, there are at most `max_restarts` restarts."""
    restarts = 0
    for outcome in outcomes:
        if isinstance(decide(policy, restarts, End(outcome), seed), Stop):
            break
        restarts += 1
    assert restarts <= policy.max_restarts


@given(st.floats(0, 1e6), st.integers(0, 1000), SEEDS)
def test_pauses(first_s: float, restarts: int, seed: str) -> None:
    """Twice as long with each restart, a fifth more or less, and never more than ten minutes."""
    pause, plain = back_off(first_s, restarts, seed), min(first_s * 2.0 ** min(restarts, 64), LONGEST_S)
    assert 0 <= pause <= LONGEST_S
    assert plain * (1 - JITTER) <= pause <= plain * (1 + JITTER)


def test_pauses_differ_between_runs() -> None:
    """Runs that failed together do not come back together; the same run pauses as it said."""
    pauses = {back_off(10.0, 0, f"run {number}") for number in range(100)}
    assert len(pauses) == 100
    assert min(pauses) < 9.0 < 11.0 < max(pauses)
    assert back_off(0.0, 3, "run") == 0.0


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (End(Failed(1)), RetryOn.ERROR),
        (End(Failed(137)), RetryOn.ERROR),
        (End(Failed(1), out_of_memory=True), RetryOn.OOM),
        (End(Signalled(9)), RetryOn.SIGNAL),
        (End(Signalled(9), out_of_memory=True), RetryOn.OOM),
        (End(Stalled(1.0)), RetryOn.STALLED),
        (End(Stalled(1.0), out_of_memory=True), RetryOn.STALLED),
        (End(CouldNotStart(126, "")), RetryOn.COULD_NOT_START),
        (End(Lost()), RetryOn.LOST),
        (End(Succeeded(), out_of_memory=True), None),
        (End(SetupFailed(137), out_of_memory=True), None),
    ],
)
def test_classes(end: End, kind: RetryOn | None) -> None:
    """Memory outranks the code and the signal that it showed itself by, and nothing else."""
    assert end.kind is kind


def test_out_of_memory_is_no_error() -> None:
    """Whoever lists `error` alone does not ask for the same lack of memory again."""
    policy = RetryPolicy(2, (RetryOn.ERROR,))
    assert decide(policy, 0, End(Failed(1), out_of_memory=True), "") == Stop("not-listed")
    assert isinstance(decide(policy, 0, End(Failed(1)), ""), Again)


@pytest.mark.parametrize(
    ("ooms", "changed"),
    [(0, {}), (1, {"B": "16", "M": "x"}), (2, {"B": "8", "M": "x"}), (9, {"B": "8", "M": "x"})],
)
def test_env_on_oom(ooms: int, changed: dict[str, str]) -> None:
    """The k-th value after the k-th time; the last one stays."""
    policy = RetryPolicy(9, env_on_oom=(("B", ("16", "8")), ("M", ("x",)), ("none", ())))
    assert changed_environment(policy, ooms) == changed


# --- the memory of a GPU --------------------------------------------------------------------------

SAYS_SO = [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of",
    "torch.cuda.OutOfMemoryError: HIP out of memory.",
    "RuntimeError: CUDA error: out of memory",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.",
    "XlaRuntimeError: RESOURCE_EXHAUSTED: Failed to allocate request for 1.00GiB on device ordinal 0",
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm.",
    "tensorflow.python.errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[1]",
    "failed to alloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
]
DOES_NOT = [
    "google.api_core.exceptions.ResourceExhausted: 429 RESOURCE_EXHAUSTED: Quota exceeded for quota metric",
    "grpc: RESOURCE_EXHAUSTED: Received message larger than max (5 vs. 4)",
    "RESOURCE_EXHAUSTED\nout of memory is another line",
    "MemoryError",
    "the zoom allocated",
]


@pytest.mark.parametrize("text", SAYS_SO)
def test_words_of_the_libraries(text: str) -> None:
    """Each library has its own."""
    found = said_out_of_memory(b"step 1\n" + text.encode() + b"\nTraceback\n")
    assert found and found in text


@pytest.mark.parametrize("text", DOES_NOT)
def test_other_words(text: str) -> None:
    """A quota of a web service is not the memory of a GPU."""
    assert said_out_of_memory(text.encode()) == ""


def test_only_the_end_of_the_attempts_own_output(tmp_path: Path) -> None:
    """64 KiB, and nothing of the attempt before."""
    log = tmp_path / "log"
    log.write_bytes(b"CUDA out of memory\n" + b"x" * TAIL_BYTES)
    assert said_out_of_memory(tail_of(str(log), 0)) == ""
    log.write_bytes(b"CUDA out of memory\nsecond attempt\n")
    assert said_out_of_memory(tail_of(str(log), 0)) == "CUDA out of memory"
    assert tail_of(str(log), 19) == b"second attempt\n"
    assert tail_of(str(tmp_path / "none"), 0) == b""


# --- the kernel's log -----------------------------------------------------------------------------

RECORD = "3,4321,7000000,-;Out of memory: Killed process 17 (python) total-vm:1kB, anon-rss:1kB"
IN_GROUP = "3,4322,7000000,-;Memory cgroup out of memory: Killed process 18 (python) total-vm:1kB"


@pytest.mark.parametrize(
    ("record", "since", "found"),
    [
        (RECORD, 5.0, {17}),
        (IN_GROUP, 5.0, {18}),
        (RECORD, 60.0, set()),
        ("6,1,7000000,-;usb 1-1: new device", 5.0, set()),
        ("no record", 5.0, set()),
        (" SUBSYSTEM=memory", 5.0, set()),
    ],
)
def test_whom_the_kernel_names(record: str, since: float, found: set[int]) -> None:
    """Its records have the microseconds since boot, and the process that it killed."""
    assert oom.victims_in(record, since) == found


def test_the_machines_counter_proves_nothing_alone() -> None:
    """It counts the kills of every group: only with one of our own processes in the kernel's log."""
    before, after = {oom.MACHINE: 3}, {oom.MACHINE: 4}
    assert oom.killed_for_memory(before, after) is None
    assert "17" in str(oom.killed_for_memory(before, after, {17}))
    assert oom.killed_for_memory(before, before, {17}) is None
