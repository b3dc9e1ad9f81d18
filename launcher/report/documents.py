"""JSON documents of the commands, by the contract's names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from launcher.errors import JobFileError
from launcher.record import SCHEMA_VERSION, reading_json
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.errors import ColabRunError
    from launcher.events import Judged
    from launcher.probes.model import Gpu, GpuUser, RuntimeFacts
    from launcher.record import HourlyRate
    from launcher.release.interface import ReleaseResult

T = TypeVar("T")


def probe_document(facts: RuntimeFacts, rate: HourlyRate | None) -> dict[str, object]:
    """`probe --json`."""
    return {"schema_version": SCHEMA_VERSION, **runtime_object(facts, rate)}


def runtime_object(facts: RuntimeFacts, rate: HourlyRate | None) -> dict[str, object]:
    """The facts; an unknown is `{"unknown": "reason-code"}`, absent hardware an empty list."""
    host, gpus = facts.host, facts.gpu.gpus
    return {
        "gpus": [_gpu(gpu) for gpu in gpus.value] if isinstance(gpus, Known) else reading_json(gpus),
        "gpu_users": [_gpu_user(user) for user in facts.gpu_users],
        "driver": reading_json(facts.gpu.driver),
        "cuda": reading_json(facts.gpu.cuda),
        "tpu": reading_json(facts.tpu),
        "tpu_memory_bytes": reading_json(facts.tpu_memory_bytes),
        "ram_bytes": reading_json(host.ram_total_bytes),
        "ram_available_bytes": reading_json(host.ram_available_bytes),
        "ram_limited_by_cgroup": reading_json(host.ram_limited_by_cgroup),
        "disk_free_bytes": reading_json(host.disk_free_bytes),
        "disk_path": host.disk_path,
        "cpus": reading_json(host.cpus),
        "uptime_s": reading_json(host.uptime_s),
        "platform": facts.platform.kind.value,
        "drive_mounted": facts.platform.drive_mounted,
        "releasable": facts.platform.managed,
        "units_per_hour": reading_json(Unknown("no-rate") if rate is None else Known(rate.units)),
        "units_per_hour_checked": None if rate is None else rate.checked,
    }


def _gpu_user(user: GpuUser) -> dict[str, object]:
    return {
        "pid": user.pid,
        "memory_bytes": reading_json(user.memory_bytes),
        "command": reading_json(user.command),
        "user": reading_json(user.user),
        "own_user": user.own_user,
        "whose": user.whose,
        "run_id": user.run_id or None,
    }


def _many(reading: Reading[tuple[T, ...]], row: Callable[[T], object]) -> object:
    return [row(item) for item in reading.value] if isinstance(reading, Known) else reading_json(reading)


def _gpu(gpu: Gpu) -> dict[str, object]:
    capability = gpu.compute_capability
    return {
        "index": gpu.index,
        "name": reading_json(gpu.name),
        "class": reading_json(gpu.class_name),
        "uuid": reading_json(gpu.uuid),
        "memory_total_bytes": reading_json(gpu.memory_total_bytes),
        "memory_free_bytes": reading_json(gpu.memory_free_bytes),
        "compute_capability": f"{capability.value[0]}.{capability.value[1]}"
        if isinstance(capability, Known)
        else reading_json(capability),
        "mig": reading_json(gpu.mig),
        "mig_devices": _many(
            gpu.mig_devices, lambda device: {"memory_total_bytes": reading_json(device.memory_total_bytes)}
        ),
        "utilisation_percent": reading_json(gpu.utilisation_percent),
        "power_w": reading_json(gpu.power_w),
        "processes": _many(
            gpu.processes, lambda p: {"pid": p.pid, "memory_bytes": reading_json(p.memory_bytes)}
        ),
    }


def check_document(judged: Judged) -> dict[str, object]:
    """`check --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "job": judged.spec.name,
        "verdict": judged.verdict.status.value,
        "findings": [finding.as_json() for finding in judged.verdict.findings],
        "advice": None if judged.advice is None else judged.advice.as_json(),
        "fix": None if judged.fix is None else judged.fix.as_json(),
        "on": judged.on_row or None,
        "hints": [str(text) for text in (judged.costs_more, *judged.hints, judged.balance) if text],
        "read_as": [str(text) for text in judged.spec.read_as],
        "runtime": runtime_object(judged.facts, judged.rate),
    }


def error_document(error: ColabRunError) -> dict[str, object]:
    """`check --json` where there is no verdict."""
    problems = error.problems if isinstance(error, JobFileError) else ()
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": None,
        "error": error.what,
        "exit_code": int(error.exit_code),
        "problems": [problem.as_json() for problem in problems],
    }


def release_document(result: ReleaseResult, money: bool | Unknown, exit_code: int) -> dict[str, object]:
    """`release --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "release": result.as_json(),
        "money_still_running": reading_json(money) if isinstance(money, Unknown) else money,
        "exit_code": exit_code,
    }
