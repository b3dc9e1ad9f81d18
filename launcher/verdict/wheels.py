"""Would the installed wheel of torch, JAX or TensorFlow run on these GPUs, with this driver? Pure.

From metadata alone: what the package says of its own build, and configs/wheels.yaml. What neither says is
not known, and never guessed.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from launcher.values import Known, Unknown
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.probes.model import PythonFacts
    from launcher.values import Reading
    from launcher.verdict.model import WheelRow, WheelTable
    from launcher.words import Text, Words

# What is looked up: the packages of the three families. JAX's code for GPUs is in its plugins.
FAMILIES: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "jax": ("jax-cuda13-plugin", "jax-cuda12-plugin", "jaxlib"),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
}
PACKAGES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)
_TORCH_CUDA = re.compile(r"^cuda(?:\s*:[^=\n]*)?\s*=\s*(.+)$", re.MULTILINE)
_TORCH_LOCAL = re.compile(r"\+cu([0-9]{2})([0-9]+)")
_JAX_PLUGIN = re.compile(r"jax-cuda([0-9]+)-plugin")
_ARCHITECTURE = re.compile(r"(sm|compute)_([0-9]+)([0-9])([af]?)")


class Carries(str, Enum):
    """What a wheel has for one compute capability."""

    CODE = "code"
    PTX = "ptx"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Wheel:
    """An installed wheel: what it was built for. `cuda` Known(None): for the CPU only."""

    family: str
    package: str
    version: str
    cuda: Reading[str | None]
    architectures: Reading[tuple[str, ...]]
    fails_on: tuple[tuple[int, int], ...] = ()

    @property
    def title(self) -> str:
        """`torch 2.9.1`."""
        return f"{self.package} {self.version}"


class Fault(str, Enum):
    """What is wrong with a wheel here. PTX may still work, after a long first start."""

    CPU_ONLY = "cpu-only"
    OLD_DRIVER = "old-driver"
    NO_CODE = "no-code"
    FAILS = "fails"
    PTX_ONLY = "ptx-only"
    NOT_KNOWN = "not-known"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One fault and the sentence about it. `wanted` and `found` are for JSON."""

    wheel: Wheel
    fault: Fault
    wanted: str
    found: object
    text: Words

    @property
    def stops(self) -> bool:
        """True where the job would not run on these GPUs."""
        return self.fault not in (Fault.PTX_ONLY, Fault.NOT_KNOWN)


def wheels_of(python: PythonFacts, table: WheelTable) -> tuple[Wheel, ...]:
    """One for each family that is installed."""
    found = []
    for family, packages in FAMILIES.items():
        package = next((name for name in packages if python.versions.get(name)), None)
        if package is not None:
            version = python.versions[package] or ""
            found.append(_wheel(family, package, version, python.builds.get(package, ""), table))
    return tuple(found)


def carries(architectures: Iterable[str], capability: tuple[int, int]) -> Carries:
    """Machine code runs on its own generation from its figure on; PTX on everything from its figure on.

    Code for `sm_90a` runs on 9.0 only (NVIDIA's compatibility guides).
    """
    best = Carries.NOTHING
    for name in architectures:
        match = _ARCHITECTURE.fullmatch(name)
        if match is None:
            continue
        kind, major, minor, special = match.groups()
        built = int(major), int(minor)
        if kind == "sm" and (built == capability or (not special and _runs(built, capability))):
            return Carries.CODE
        if kind == "compute" and not special and built <= capability:
            best = Carries.PTX
    return best


def _runs(built: tuple[int, int], capability: tuple[int, int]) -> bool:
    return built[0] == capability[0] and built[1] <= capability[1]


def judge_wheel(
    wheel: Wheel, capabilities: Sequence[tuple[int, int]], driver: Reading[str], table: WheelTable
) -> Ruling | None:
    """The worst that can be said of a wheel on GPUs of these compute capabilities; None: nothing."""
    if wheel.cuda == Known(None):
        text = words("{package} is built for the CPU only and would not use the GPU", package=wheel.title)
        return Ruling(wheel, Fault.CPU_ONLY, "CUDA", "CPU only", text)
    old = _too_old(wheel, driver, table)
    if old is not None:
        return old
    rulings = [_on(wheel, capability) for capability in capabilities]
    found = [ruling for ruling in rulings if ruling is not None]
    return min(found, key=lambda one: (not one.stops, one.fault is Fault.NOT_KNOWN), default=None)


def _on(wheel: Wheel, capability: tuple[int, int]) -> Ruling | None:
    shown = "{}.{}".format(*capability)
    wanted = f"compute capability {shown}"
    if isinstance(wheel.architectures, Unknown):
        text = words(
            "whether {package} runs on compute capability {capability} is not known",
            package=wheel.title,
            capability=shown,
        )
        return Ruling(wheel, Fault.NOT_KNOWN, wanted, {"unknown": wheel.architectures.reason}, text)
    names = wheel.architectures.value
    has = carries(names, capability)
    fields: dict[str, object] = {"package": wheel.title, "capability": shown, "built": _listed(names)}
    if has is Carries.CODE:
        return None
    if has is Carries.NOTHING:
        text = words(
            "{package} has no code for compute capability {capability}, only for {built}: "
            "install a newer one",
            **fields,
        )
        return Ruling(wheel, Fault.NO_CODE, wanted, list(names), text)
    if capability in wheel.fails_on:
        text = words(
            "{package} is reported to fail on compute capability {capability}; it was built for {built}",
            **fields,
        )
        return Ruling(wheel, Fault.FAILS, wanted, list(names), text)
    text = words(
        "{package} was not built for compute capability {capability}, only for {built}: the driver compiles "
        "it at the first start, which takes long and may fail",
        **fields,
    )
    return Ruling(wheel, Fault.PTX_ONLY, wanted, list(names), text)


def _listed(architectures: Sequence[str]) -> Text:
    """`7.0, 7.5, 8.0`: what there is machine code for."""
    found = [match for name in architectures if (match := _ARCHITECTURE.fullmatch(name))]
    code = [f"{one[2]}.{one[3]}" for one in found if one[1] == "sm"]
    return listed(code or [f"{one[2]}.{one[3]}" for one in found])


def _too_old(wheel: Wheel, driver: Reading[str], table: WheelTable) -> Ruling | None:
    if isinstance(driver, Unknown) or isinstance(wheel.cuda, Unknown) or wheel.cuda.value is None:
        return None
    cuda = wheel.cuda.value
    oldest = dict(table.drivers).get(int(cuda.partition(".")[0]))
    if oldest is None or _numbers(driver.value) >= _numbers(oldest):
        return None
    text = words(
        "{package} is built for CUDA {cuda}, which needs driver {oldest} or newer; here is {driver}",
        package=wheel.title,
        cuda=cuda,
        oldest=oldest,
        driver=driver.value,
    )
    return Ruling(wheel, Fault.OLD_DRIVER, f"driver {oldest}", f"driver {driver.value}", text)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))


# --- what a package says of itself, and what the table says of it ------------------------------------


def _wheel(family: str, package: str, version: str, build: str, table: WheelTable) -> Wheel:
    cuda, architectures = _built_for(family, package, version, build)
    row = None if cuda == Known(None) else _row(package, version, cuda, table)
    if isinstance(architectures, Unknown) and row is not None:
        architectures = Known(row.architectures)
    return Wheel(family, package, version, cuda, architectures, row.fails_on if row is not None else ())


def _row(package: str, version: str, cuda: Reading[str | None], table: WheelTable) -> WheelRow | None:
    public = version.partition("+")[0]
    for row in table.rows:
        same = public == row.version or public.startswith(f"{row.version}.")
        if row.package == package and same:
            if not row.cuda:
                return row
            # TensorFlow says 12.5.1 of itself where the others say 12.5.
            if isinstance(cuda, Known) and cuda.value and f"{cuda.value}.".startswith(f"{row.cuda}."):
                return row
    return None


_UNLISTED = Unknown("unlisted-wheel")


def _built_for(
    family: str, package: str, version: str, build: str
) -> tuple[Reading[str | None], Reading[tuple[str, ...]]]:
    """CUDA and architectures, as far as the package itself says."""
    if family == "torch":
        return _torch_cuda(version, build), _UNLISTED
    if family == "jax":
        plugin = _JAX_PLUGIN.fullmatch(package)
        if plugin is not None:
            return Known(plugin.group(1)), _UNLISTED
        # Before there were plugins, jaxlib itself was built for CUDA: 0.4.20+cuda12.cudnn89.
        older = re.search(r"\+cuda([0-9]+)", version)
        return (Known(older.group(1)) if older else Known(None)), _UNLISTED
    return _tensorflow(package, build)


def _torch_cuda(version: str, build: str) -> Reading[str | None]:
    said = _TORCH_CUDA.search(build)
    if said is not None:
        try:
            value = ast.literal_eval(said.group(1).strip())
        except (ValueError, SyntaxError):
            return _UNLISTED
        if value is None and "+rocm" in version:
            return _UNLISTED
        return Known(value) if value is None or isinstance(value, str) else _UNLISTED
    if version.endswith("+cpu"):
        return Known(None)
    local = _TORCH_LOCAL.search(version)
    return Known(f"{local.group(1)}.{local.group(2)}") if local is not None else _UNLISTED


def _tensorflow(package: str, build: str) -> tuple[Reading[str | None], Reading[tuple[str, ...]]]:
    if package == "tensorflow-cpu" or "'is_cuda_build', False" in build:
        return Known(None), _UNLISTED
    cuda = re.search(r"'cuda_version', '([0-9.]+)'", build)
    names = re.search(r"'cuda_compute_capabilities', \[([^\]]*)\]", build)
    found = re.findall(r"(?:sm|compute)_[0-9]+[af]?", names.group(1)) if names else []
    # To TensorFlow's build compute_90 is both: machine code for 9.0, and PTX.
    code = [f"sm_{name.partition('_')[2]}" for name in found if name.startswith("compute_")]
    plain = [name for name in found if name.startswith("sm_")]
    architectures = tuple(dict.fromkeys((*plain, *code, *found)))
    return (
        Known(cuda.group(1)) if cuda is not None else _UNLISTED,
        Known(architectures) if architectures else _UNLISTED,
    )
