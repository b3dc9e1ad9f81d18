"""`retry`, `budget`, `checks`, `inputs`, `matrix`, `gpu_sharing`: what is read, and the defaults."""

from __future__ import annotations

import pytest

from launcher.spec.model import Budget, Checks, Input, Matrix, RetryOn, RetryPolicy


def test_without_the_keys_nothing_is_asked_for(reader):
    """One attempt, no budget, nothing to be there, one run, a GPU of its own."""
    job = reader.job("run: x\n")
    assert (job.retry, job.budget, job.checks) == (RetryPolicy(), None, Checks())
    assert (job.inputs, job.matrix, job.resources.gpu_sharing) == ((), None, False)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("{max_restarts: 2}", RetryPolicy(2, (RetryOn.OOM, RetryOn.ERROR, RetryOn.SIGNAL))),
        ("{max_restarts: 1, on: [lost, lost]}", RetryPolicy(1, (RetryOn.LOST,))),
        ("{max_restarts: 3, backoff: 0s}", RetryPolicy(3, backoff_s=0.0)),
        ("{max_restarts: 1, env_on_oom: {B: [8, 4]}}", RetryPolicy(1, env_on_oom=(("B", ("8", "4")),))),
        ("{max_restarts: 1, env_on_oom: {B: 08}}", RetryPolicy(1, env_on_oom=(("B", ("08",)),))),
    ],
)
def test_retry(reader, text, policy):
    """A text of the environment is what stands in the file; a reason counts once."""
    assert reader.job(f"run: x\nretry: {text}\n").retry == policy


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("{compute_units: 40}", Budget(compute_units=40.0)),
        ("{usd: .5}", Budget(usd=0.5)),
        ("{usd: 4, usd_per_hour: 1.19}", Budget(usd=4.0, usd_per_hour=1.19)),
    ],
)
def test_budget(reader, text, budget):
    """In one of two units; the rate of a machine that we know nothing of comes with it."""
    assert reader.job(f"run: x\nbudget: {text}\n").budget == budget


def test_checks(reader):
    """Requirements, paths and hosts, as they were written."""
    text = 'checks: {packages: ["torch >=2.4,<3", "jax[cuda12]"], files: [a b], network: ["[::1]:80", "https://a.b/c"]}\n'
    found = reader.job(f"run: x\n{text}").checks
    assert found == Checks(("torch >=2.4,<3", "jax[cuda12]"), ("a b",), ("[::1]:80", "https://a.b/c"))


def test_inputs(reader):
    """A path alone, or with what it has to be."""
    found = reader.job("run: x\ninputs: [a, {path: b, size: 1GB}, {path: c, room: 2GiB}]\n").inputs
    assert found == (Input("a"), Input("b", 10**9), Input("c", None, 2**31))


def test_matrix(reader):
    """Values are texts, as behind `--set`; one value is a list of one; `parallel` is no parameter."""
    found = reader.job("run: x\nmatrix: {env.LR: [1e-3, 0x10], resources.gpu: T4, parallel: 2}\n").matrix
    assert found == Matrix((("env.LR", ("1e-3", "0x10")), ("resources.gpu", ("T4",))), 2)


@pytest.mark.parametrize("key", ["strategy", "sweep"])
def test_what_others_call_a_matrix(reader, key):
    """Named problems, with our name for it."""
    (problem,) = reader.problems(f"run: x\n{key}: {{a: [1]}}\n")
    assert (problem.code.value, problem.hint) == ("CR223", "use `matrix`")
