"""GPUs as the driver reports them. The only file that imports pynvml, and only in a child process.

A call into a sick driver can hang for good or crash its process; the child bounds both. Errors
become reasons, one for each of NVML's codes that means something to a user; an error on one field
makes that field unknown, never the GPU.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.children import call_in_child
from launcher.probes.model import Gpu, GpuFacts, GpuProcess, MigDevice
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.catalog.model import Catalog

T = TypeVar("T")

DEADLINE_S = 2.0
_LIBRARY = "libnvidia-ml.so.1"
# A clean environment (ssh, env -i) loses the LD_LIBRARY_PATH by which Colab and WSL find the driver.
_LIBRARY_FOLDERS = ("usr/lib64-nvidia", "usr/local/nvidia/lib64", "usr/lib/wsl/lib")
_DEVICES = ("dev/nvidiactl", "dev/nvidia0")
# A GPU that this program cannot judge is not "no GPU".
_AMD = ("dev/kfd", "sys/module/amdgpu")

_NOT_SUPPORTED, _NOT_FOUND, _FUNCTION_NOT_FOUND = 3, 6, 13
_REASONS = {
    _NOT_SUPPORTED: "not-supported",
    4: "no-permission",
    _NOT_FOUND: "not-found",
    9: "driver-not-loaded",
    10: "driver-timeout",
    12: "no-nvml-library",
    _FUNCTION_NOT_FOUND: "function-missing",
    15: "gpu-lost",
    16: "gpu-needs-reset",
    17: "blocked-by-os",
    18: "driver-mismatch",
    999: "driver-error",
}


def read_gpus(catalog: Catalog, *, root: str = "/", deadline_s: float = DEADLINE_S) -> GpuFacts:
    """All GPUs of this machine, classified by `catalog`.

    Neither library nor device is a machine known to have no GPU; an AMD one, a device without a library, a
    library that fails to start, or one that does not answer within `deadline_s` is unknown.
    """
    answer = call_in_child(lambda: _survey(root), deadline_s=deadline_s)
    if isinstance(answer, Unknown):
        lost = Unknown("probe-failed" if answer.reason == "failed" else answer.reason)
        return GpuFacts(gpus=lost, driver=lost, cuda=lost)
    return GpuFacts(
        gpus=_reading(
            answer.value["gpus"],
            lambda found: tuple(_gpu(index, fields, catalog) for index, fields in enumerate(found)),
        ),
        driver=_reading(answer.value["driver"]),
        cuda=_reading(answer.value["cuda"]),
    )


def gpu_is_likely(environ: Mapping[str, str], root: str = "/") -> bool:
    """A look at names alone, for what is worth preparing while the driver is asked."""
    folders = [os.path.join(root, folder) for folder in _LIBRARY_FOLDERS]
    folders += [folder for folder in environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    libraries = (os.path.join(folder, _LIBRARY) for folder in folders)
    return any(map(os.path.exists, (*(os.path.join(root, device) for device in _DEVICES), *libraries)))


# --- in the child: NVML to JSON -------------------------------------------------------------------
# A field is {"known": value} or {"unknown": reason}.


def _survey(root: str) -> dict[str, object]:
    if not load_library(root):
        none = {"unknown": "no-nvml-library"}
        return {"gpus": _without_library(root), "driver": none, "cuda": none}
    try:
        import pynvml as nvml
    except ImportError:
        missing = {"unknown": "no-nvml-binding"}
        return {"gpus": missing, "driver": missing, "cuda": missing}

    started = take(nvml, lambda: nvml.nvmlInit())
    if "unknown" in started:
        return {"gpus": started, "driver": started, "cuda": started}
    return {
        "gpus": take(nvml, lambda: [_read_device(nvml, i) for i in range(nvml.nvmlDeviceGetCount())]),
        "driver": take(nvml, lambda: _text(nvml.nvmlSystemGetDriverVersion())),
        "cuda": take(nvml, lambda: _cuda_text(nvml.nvmlSystemGetCudaDriverVersion_v2())),
    }


def _without_library(root: str) -> dict[str, object]:
    def has(paths: tuple[str, ...]) -> bool:
        return any(os.path.exists(os.path.join(root, path)) for path in paths)

    if has(_DEVICES):
        return {"unknown": "no-nvml-library"}
    return {"unknown": "amd-not-supported"} if has(_AMD) else {"known": []}


def load_library(root: str) -> bool:
    """True when the library is loaded; pynvml then finds it by its name, wherever it came from.

    Looking first spares machines without a GPU the import of pynvml.
    """
    import ctypes

    for path in (_LIBRARY, *(os.path.join(root, folder, _LIBRARY) for folder in _LIBRARY_FOLDERS)):
        try:
            ctypes.CDLL(path)
        except OSError:
            continue
        return True
    return False


def take(nvml: Any, read: Callable[[], object]) -> dict[str, Any]:
    """One field: `{"known": value}`, or `{"unknown": reason}` where NVML refuses or `read` finds nonsense."""
    try:
        return {"known": read()}
    except nvml.NVMLError as error:
        return {"unknown": _reason(error)}
    except AttributeError:
        return {"unknown": "function-missing"}  # a binding that is older than the call
    except ValueError:
        return {"unknown": "implausible"}


def _reason(error: Any) -> str:
    return _REASONS.get(error.value, f"nvml-error-{error.value}")


def _read_device(nvml: Any, index: int) -> dict[str, dict[str, object]]:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return {name: {"unknown": _reason(error)} for name in _FIELDS}
    return {name: take(nvml, partial(read, nvml, handle)) for name, read in _FIELDS.items()}


def _read_memory_total(nvml: Any, handle: Any) -> int:
    total = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    if total <= 0:
        raise ValueError(total)
    return total


def read_mig(nvml: Any, handle: Any) -> bool:
    """Is the GPU cut into slices? Raises NVMLError."""
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0] == 1)
    except nvml.NVMLError as error:
        if error.value in (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND):
            return False  # a GPU without the mode, or a driver from before it
        raise


def _read_mig_devices(nvml: Any, handle: Any) -> list[object]:
    """The slices that exist; slots of the GPU without one answer "not found"."""
    if not read_mig(nvml, handle):
        return []
    found: list[object] = []
    for slot in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            device = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)
        except nvml.NVMLError as error:
            if error.value == _NOT_FOUND:
                continue
            raise
        found.append({"memory_total": take(nvml, partial(_read_memory_total, nvml, device))})
    return found


def read_processes(nvml: Any, handle: Any) -> list[dict[str, object]]:
    """Compute processes, `{"pid": int, "memory": field}` each; some containers hide the memory.

    Raises NVMLError.
    """
    try:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
    except nvml.NVMLError as error:
        if error.value != _FUNCTION_NOT_FOUND:
            raise
        processes = nvml.nvmlDeviceGetComputeRunningProcesses_v2(handle)  # drivers before 510
    return [
        {
            "pid": int(process.pid),
            "memory": {"unknown": "not-available"}
            if process.usedGpuMemory is None
            else {"known": int(process.usedGpuMemory)},
        }
        for process in processes
    ]


def read_uuid(nvml: Any, handle: Any) -> str:
    """`GPU-…`. Raises NVMLError."""
    return _text(nvml.nvmlDeviceGetUUID(handle))


def _text(value: str | bytes) -> str:
    """Bindings before 12 give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _cuda_text(version: int) -> str:
    """12080 as `12.8`."""
    return f"{version // 1000}.{version % 1000 // 10}"


_FIELDS: dict[str, Callable[[Any, Any], object]] = {
    "name": lambda nvml, handle: _text(nvml.nvmlDeviceGetName(handle)),
    "uuid": read_uuid,
    "memory_total": _read_memory_total,
    "memory_free": lambda nvml, handle: int(nvml.nvmlDeviceGetMemoryInfo(handle).free),
    "capability": lambda nvml, handle: list(nvml.nvmlDeviceGetCudaComputeCapability(handle)),
    "mig": read_mig,
    "mig_devices": _read_mig_devices,
    "utilisation": lambda nvml, handle: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    "power_w": lambda nvml, handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    "processes": read_processes,
}


# --- in the parent: JSON to facts -----------------------------------------------------------------


def _reading(field: dict[str, Any], convert: Callable[[Any], T] = lambda value: value) -> Reading[T]:
    return Unknown(field["unknown"]) if "unknown" in field else Known(convert(field["known"]))


def _gpu(index: int, fields: dict[str, Any], catalog: Catalog) -> Gpu:
    name: Reading[str] = _reading(fields["name"])
    memory: Reading[int] = _reading(fields["memory_total"])
    return Gpu(
        index=index,
        name=name,
        class_name=_classify(name, memory, catalog),
        uuid=_reading(fields["uuid"]),
        memory_total_bytes=memory,
        memory_free_bytes=_reading(fields["memory_free"]),
        compute_capability=_reading(fields["capability"], lambda pair: (pair[0], pair[1])),
        mig=_reading(fields["mig"]),
        mig_devices=_reading(fields["mig_devices"], _mig_devices),
        utilisation_percent=_reading(fields["utilisation"]),
        power_w=_reading(fields["power_w"]),
        processes=_reading(fields["processes"], _gpu_processes),
    )


def _classify(name: Reading[str], memory: Reading[int], catalog: Catalog) -> Reading[str]:
    if isinstance(name, Unknown):
        return name
    return catalog.classify(name.value, memory.value if isinstance(memory, Known) else None)


def _mig_devices(found: list[dict[str, Any]]) -> tuple[MigDevice, ...]:
    return tuple(MigDevice(_reading(device["memory_total"])) for device in found)


def _gpu_processes(found: list[dict[str, Any]]) -> tuple[GpuProcess, ...]:
    return tuple(GpuProcess(process["pid"], _reading(process["memory"])) for process in found)


# --- after a job, in a child ------------------------------------------------------------------------


def memory_holders(root: str = "/") -> list[tuple[int, int | None]] | None:
    """(pid, bytes on all GPUs together or None) of each compute process; None where that cannot be read.

    NVML may hang: for `call_in_child`.
    """
    import pynvml as nvml

    if not load_library(root):
        return None
    found: dict[int, int | None] = {}
    try:
        nvml.nvmlInit()
        for index in range(nvml.nvmlDeviceGetCount()):
            for process in read_processes(nvml, nvml.nvmlDeviceGetHandleByIndex(index)):
                pid, memory = int(str(process["pid"])), process["memory"]
                known = memory.get("known") if isinstance(memory, dict) else None
                before = found.get(pid, 0)
                found[pid] = None if known is None or before is None else before + known
    except nvml.NVMLError:
        return None
    return sorted(found.items())


# --- in a sampler: again and again ------------------------------------------------------------------


def started(root: str = "/") -> Reading[Any]:
    """Start NVML in this process, which should be a child: pynvml itself, or None where there is no GPU.

    NVML may hang: the caller must be ready to be killed.
    """
    if not load_library(root):
        return _reading(_without_library(root), lambda _: None)
    try:
        import pynvml as nvml
    except ImportError:
        return Unknown("no-nvml-binding")
    return _reading(take(nvml, nvml.nvmlInit), lambda _: nvml)


# --- in a sampler: memory in use, again and again ---------------------------------------------------


def memory_meter(root: str = "/") -> Callable[[], int | None]:
    """Start NVML in this process, which should be a child; a function that reads all GPUs together.

    It gives the bytes in use, or None when they cannot be read. NVML may hang: the caller must be
    ready to be killed.
    """
    import pynvml as nvml

    if not load_library(root):
        return lambda: None
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return lambda: None

    def read() -> int | None:
        try:
            return sum(int(nvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in handles)
        except nvml.NVMLError:
            return None

    return read
