"""`resources:` of the job file. Pure."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from launcher.spec import quantities
from launcher.spec.aliases import FOREIGN_GPU, IDLE_ALIASES
from launcher.spec.gpu import MOST_GPUS, is_class, parse_class, parse_gpu
from launcher.spec.messages import Refused, shown
from launcher.spec.model import GpuClasses, GpuClassOption, GpuProperties, GpuRequest, Resources
from launcher.spec.reader import Field, MappingReader
from launcher.spec.tree import Mapping, Node, Scalar, Sequence
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.words import Text

T = TypeVar("T")


def read_resources(field: Field | None, classes: Collection[str], read_as: list[Text]) -> Resources:
    """What the runtime must have; aliases that were read are noted in `read_as`."""
    reader = field.mapping(example="{gpu: A100}") if field is not None else None
    if reader is None:
        return Resources()
    gpu = reader.take("gpu")
    request = _read_gpu(gpu, classes) if gpu is not None else None
    gpu_text = _written(gpu.node) if gpu is not None else ""
    if gpu is not None and gpu.alias:
        read_as.append(f"{gpu.path}: {gpu_text} -> resources.gpu: {gpu_text}")
    ram = _size(reader.take("ram"), "ram", read_as)
    disk = _size(reader.take("disk"), "disk", read_as)
    cpus = reader.take("cpus")
    cpu_count = cpus.read(quantities.cpus, example="4") if cpus is not None else None
    if cpus is not None and cpus.alias and cpu_count is not None:
        read_as.append(f"{cpus.path}: {_written(cpus.node)} -> resources.cpus: {cpu_count:g}")
    tpu = reader.take("tpu")
    tpu_name = tpu.read(_parse_tpu, example="v5e-1") if tpu is not None else None
    if gpu is not None and tpu is not None:
        tpu.problem_at_key("conflict-instead", other="gpu")
    sharing = _optional(reader, "gpu_sharing", quantities.flag, "true")
    for name in IDLE_ALIASES:
        reader.take(name)  # theirs under `resources`; schema.py says what they are read as
    close(reader)
    return Resources(
        gpu=request,
        gpu_text=gpu_text,
        ram_bytes=ram,
        disk_bytes=disk,
        cpus=cpu_count,
        tpu=tpu_name,
        gpu_sharing=sharing or False,
    )


def _parse_tpu(text: str) -> str:
    """`v5e-1`: generation and number of chips. Any is read; whether there is one, the verdict says."""
    name = text.strip().lower()
    if re.fullmatch(r"v[0-9]+[a-z]*-[0-9]{1,4}", name) is None:
        raise Refused("not-tpu", found=shown(text))
    return name


def _size(field: Field | None, name: str, read_as: list[Text]) -> int | None:
    if field is None:
        return None
    if not field.alias:
        return field.read(quantities.size, example="50GB")
    size = field.read(quantities.peer_size, example="32GB")
    if size is not None:
        read_as.append(
            f"{field.path}: {_written(field.node)} -> resources.{name}: {quantities.format_gib(size)}"
        )
    return size


def _read_gpu(field: Field, classes: Collection[str]) -> GpuRequest | None:
    if isinstance(field.node, Mapping):
        return _theirs(field, classes) if field.alias else _properties(field, classes)
    if isinstance(field.node, Sequence):
        found = [
            item.read(lambda text: parse_class(text, classes), example="L4")
            for item in field.items(example="[L4, A100]")
        ]
        return GpuClasses(tuple(option for option in found if option is not None))
    return field.read(lambda text: parse_gpu(text, classes), example="A100")


def _properties(field: Field, classes: Collection[str]) -> GpuRequest | None:
    reader = field.mapping(example="{memory: 22GB}")
    if reader is None:
        return None
    by_class = [entry for entry in reader.node.entries.values() if is_class(entry.name, classes)]
    if by_class:
        for entry in by_class:
            times = entry.value.text if isinstance(entry.value, Scalar) and not entry.value.is_null else ""
            found = f"{entry.name}:{times}" if times else entry.name
            reader.report.add("gpu-class-as-key", entry.key, field.path, found=shown(found))
        return None
    memory = _optional(reader, "memory", quantities.size, "22GB")
    capability = _optional(reader, "compute_capability", quantities.compute_capability, "8.0")
    count = _optional(reader, "count", _count, "1")
    close(reader, FOREIGN_GPU)
    return GpuProperties(memory, capability, count or 1)


def _theirs(field: Field, classes: Collection[str]) -> GpuRequest | None:
    """SkyPilot's `{A100: 1, L4: 1}`, and its set form `{A100:1, L4:1}`: any of them."""
    reader = field.mapping(example="{A100: 1}")
    options = []
    for entry, item in reader.every() if reader is not None else []:
        count = item.node
        if isinstance(count, Scalar) and not count.is_null:
            option = item.read(partial(_parse_counted, entry.name, classes), example="1")
        else:
            name = Scalar(entry.key, entry.name, plain=True, end=entry.end)
            whole = Field(name if isinstance(count, Scalar) else count, item.path, item.report)
            option = whole.read(lambda text: parse_class(text, classes), example="A100:1")
        options.append(option)
    return GpuClasses(tuple(option for option in options if option is not None))


def _parse_counted(name: str, classes: Collection[str], count: str) -> GpuClassOption:
    return parse_class(f"{name}:{count}", classes)


def _count(text: str) -> int:
    return quantities.integer(text, least=1, most=MOST_GPUS, example="count: 2")


def _optional(reader: MappingReader, name: str, parse: Callable[[str], T], example: str) -> T | None:
    field = reader.take(name)
    return field.read(parse, example=example) if field is not None else None


def _written(node: Node) -> str:
    """The value as it was written, on one line."""
    if isinstance(node, Scalar):
        return shown(node.text.strip(), 200)
    if isinstance(node, Sequence):
        return f"[{', '.join(_written(item) for item in node.items)}]"
    if isinstance(node, Mapping):
        pairs = (
            entry.name if isinstance(entry.value, Scalar) and entry.value.is_null
            else f"{entry.name}: {_written(entry.value)}"
            for entry in node.entries.values()
        )  # fmt: skip
        return f"{{{', '.join(pairs)}}}"
    return ""
