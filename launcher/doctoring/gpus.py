"""The NVIDIA driver, each GPU, and who holds their memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from launcher.doctoring.model import Row, absent, bad, good, unsure
from launcher.gpu_check import holders
from launcher.probes.nvml import load_library, read_gpus
from launcher.release import marks
from launcher.values import Known, Unknown, format_size
from launcher.words import alternated, listed, words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from launcher.doctoring.around import Around
    from launcher.probes.model import Gpu, GpuFacts
    from launcher.values import Reading
    from launcher.words import Text

DRIVER, GPUS, PROCESSES = "driver", "gpus", "gpu-processes"
LIBRARY = "libnvidia-ml.so.1"
# What wheels of today are built for; an older driver runs only what was built for an older CUDA.
CUDA_OF_TODAY = (12, 0)
AGAIN = words("restart the machine; on Colab disconnect and delete the runtime, then connect again")
# Why a driver that is there does not serve us.
FIXES: dict[str, Text] = {
    "no-nvml-library": words("install the NVIDIA driver's library, or add its folder to LD_LIBRARY_PATH"),
    "no-nvml-binding": words("install it: {command}", command="pip install nvidia-ml-py"),
    "no-permission": words("let this user read /dev/nvidia*, or start the container with its GPUs"),
    "blocked-by-os": words("start the container with its GPUs, such as docker run --gpus all"),
}
_COMMAND = 64
_MOST_SHOWN = 8


def gpu_rows(around: Around) -> list[Row]:
    """Asks the driver in a child of its own, with 2 s."""
    facts = read_gpus(around.catalog, root=around.root)
    rows = [judge_driver(facts, _library(around.root)), *judge_gpus(facts)]
    pids = holders(facts)
    if isinstance(pids, Unknown):
        return [*rows, judge_unlisted(pids.reason)]
    if facts.gpus == Known(()):
        return rows
    living = {note.run_id for note, guarded in marks.runs(around.leases, tidy=False) if guarded}
    return [*rows, judge_processes([_holder(pid, around.root) for pid in pids.value], living)]


# --- the driver -------------------------------------------------------------------------------------


def _library(root: str) -> str:
    """Where the loader found NVML; empty if nowhere, or if that cannot be seen."""
    if not load_library(root):
        return ""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            return next((line.split()[-1] for line in file if "libnvidia-ml" in line), "")
    except OSError:
        return ""


def judge_driver(facts: GpuFacts, library: str) -> Row:
    """A machine with neither library nor device has none, and needs none."""
    driver = facts.driver
    if isinstance(driver, Unknown):
        reason = driver.reason
        if facts.gpus == Known(()):
            return absent(DRIVER, words("no NVIDIA driver"))
        if facts.gpus == Unknown("amd-not-supported"):
            fix = words("run jobs without `gpu` here, or take a machine with an NVIDIA GPU")
            return unsure(DRIVER, words("an AMD GPU, which colab-run cannot judge"), fix)
        if reason == "timeout":
            return bad(DRIVER, words("the NVIDIA driver does not answer"), AGAIN)
        return bad(
            DRIVER,
            words("the NVIDIA driver cannot be asked ({reason})", reason=reason),
            FIXES.get(reason, AGAIN),
        )
    said = words("{version}, library {path}", version=driver.value, path=library or LIBRARY)
    if isinstance(facts.cuda, Unknown):
        fix = words("use a driver that tells which CUDA it supports, from 410 on")
        return unsure(DRIVER, words("{driver}; it does not say which CUDA it supports", driver=said), fix)
    said = words("{driver}, CUDA up to {cuda}", driver=said, cuda=facts.cuda.value)
    if _numbers(facts.cuda.value) < CUDA_OF_TODAY:
        fix = words(
            "update the driver, or install packages that are built for CUDA {cuda}", cuda=facts.cuda.value
        )
        return unsure(DRIVER, words("{driver}: too old for packages built for CUDA 12", driver=said), fix)
    return good(DRIVER, said)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


# --- each GPU ---------------------------------------------------------------------------------------


def judge_gpus(facts: GpuFacts) -> list[Row]:
    """Can each be read?"""
    if isinstance(facts.gpus, Unknown):
        if facts.gpus.reason == "amd-not-supported":
            return []  # The row of the driver has said it.
        fix = words("repair the driver first: see its row")
        return [unsure(GPUS, words("not known ({reason})", reason=facts.gpus.reason), fix)]
    if not facts.gpus.value:
        return [absent(GPUS, words("Not connected to a GPU"))]
    lost = [gpu for gpu in facts.gpus.value if isinstance(gpu.name, Unknown)]
    if lost:
        told = listed(
            words("GPU {index} cannot be read ({reason})", index=gpu.index, reason=_reason(gpu.name))
            for gpu in lost
        )
        return [bad(GPUS, told, AGAIN)]
    shown = [_shown(gpu) for gpu in facts.gpus.value]
    partly = [gpu.index for gpu in facts.gpus.value if isinstance(gpu.memory_total_bytes, Unknown)]
    if partly:
        fix = words("name the class in the job file (`gpu: T4`) and not its memory")
        told = words(
            "{gpus}; of GPU {index} the memory cannot be read", gpus=alternated(shown), index=partly[0]
        )
        return [unsure(GPUS, told, fix)]
    return [good(GPUS, alternated(shown))]


def _shown(gpu: Gpu) -> Text:
    name = gpu.name.value if isinstance(gpu.name, Known) else ""
    if isinstance(gpu.memory_free_bytes, Unknown) or isinstance(gpu.memory_total_bytes, Unknown):
        return words("{index}: {name}", index=gpu.index, name=name)
    free, total = format_size(gpu.memory_free_bytes.value), format_size(gpu.memory_total_bytes.value)
    return words(
        "{index}: {name}, {free} free of {total}", index=gpu.index, name=name, free=free, total=total
    )


def _reason(reading: Reading[str]) -> str:
    return reading.reason if isinstance(reading, Unknown) else ""


# --- who holds memory -------------------------------------------------------------------------------


class Holder(NamedTuple):
    """A process that holds GPU memory: its program (None: it is not one of this container's), its run."""

    pid: int
    program: str | None
    run_id: str = ""


def _holder(pid: int, root: str) -> Holder:
    """The name of its program only: arguments may hold anything."""
    folder = os.path.join(root, "proc", str(pid))
    try:
        with open(os.path.join(folder, "comm"), encoding="utf-8", errors="replace") as file:
            program = file.read().strip()[:_COMMAND]
    except OSError:
        return Holder(pid, None)
    try:
        with open(os.path.join(folder, "environ"), "rb") as raw:
            found = [one for one in raw.read().split(b"\0") if one.startswith(b"COLAB_RUN_ID=")]
    except OSError:
        found = []
    return Holder(pid, program, found[0].partition(b"=")[2].decode("ascii", "replace") if found else "")


def judge_unlisted(reason: str) -> Row:
    """The driver does not say who holds memory."""
    fix = words("look outside of this container: {command}", command="nvidia-smi")
    return unsure(PROCESSES, words("not known ({reason})", reason=reason), fix)


def judge_processes(found: Sequence[Holder], living: Collection[str]) -> Row:
    """What a run that is guarded holds is its own; of everything else only a person knows whose it is."""
    left = [one for one in found if one.run_id and one.run_id not in living]
    if left:
        told = words("left over from a run that is gone: {processes}", processes=_listed(left))
        pids = " ".join(str(one.pid) for one in left[:_MOST_SHOWN])
        return bad(PROCESSES, told, words("end it: {command}", command=f"kill {pids}"))
    others = [one for one in found if not one.run_id]
    if not others:
        return good(PROCESSES, words("GPU memory is held by runs of colab-run, or by nobody"))
    told = words("GPU memory is held by {processes}", processes=_listed(others))
    ours = [one for one in others if one.program is not None]
    if ours:
        fix = words(
            "if nobody uses it any more, restart the session of its notebook, or end it: {command}",
            command=f"kill {ours[0].pid}",
        )
    else:
        fix = words("look outside of this container: {command}", command="nvidia-smi")
    return unsure(PROCESSES, told, fix)


def _listed(found: Sequence[Holder]) -> Text:
    shown: list[Text] = [
        words("pid {pid} ({program})", pid=one.pid, program=one.program)
        if one.program is not None
        else words("pid {pid} of another container", pid=one.pid)
        for one in found[:_MOST_SHOWN]
    ]
    return listed([*shown, *(["…"] if len(found) > _MOST_SHOWN else [])])
