"""Read the data files of `configs/` into a Catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.catalog.model import (
    Accelerator,
    Catalog,
    Cover,
    MenuLabels,
    Plan,
    Platform,
    ReleaseTiming,
    Runtime,
    UnitPrice,
)
from launcher.catalog.rows import Row
from launcher.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_CAPABILITY = re.compile(r"\d+\.\d")
# Drivers before 2021 do not put the maker's name in front of every product.
_MAKER = "(?:NVIDIA )?"


def load_catalog(configs_dir: Path) -> Catalog:
    """The catalogue in `configs_dir` (see files.find_configs).

    Raises UsageError, with the place, for a file that is missing or does not say what it should.
    """
    accelerators = _read_accelerators(_read(configs_dir / "accelerators.yaml"))
    names = {row.name for row in accelerators}
    colab = _read_platform("colab", _read(configs_dir / "platforms" / "colab.yaml"), names)
    return Catalog(accelerators=accelerators, colab=colab)


def _read(path: Path) -> Row:
    import yaml

    # libyaml is ten times as fast, and missing from a PyYAML that was built without it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return Row.of(str(path), yaml.load(path.read_text("utf-8"), Loader=loader))  # noqa: S506 - safe loaders
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", "repair it, or unset COLAB_RUN_CONFIGS"
        ) from error


def _read_accelerators(file: Row) -> tuple[Accelerator, ...]:
    checked = file.text("checked")
    found = tuple(_read_accelerator(name, row, checked) for name, row in file.rows("accelerators"))
    names = {row.name for row in found}
    for row in found:
        for cover in row.covers:
            if cover.name not in names:
                raise UsageError(f"{file.where}: {row.name} covers {cover.name}, which has no row of its own")
    return found


def _read_accelerator(name: str, row: Row, checked: str) -> Accelerator:
    return Accelerator(
        name=name,
        family=row.maybe_text("family"),
        aliases=row.texts("aliases"),
        patterns=_read_patterns(row),
        memory_bytes=row.size("memory"),
        compute_capability=_read_capability(row),
        bandwidth_gb_s=row.maybe_number("bandwidth"),
        bf16_tflops=row.maybe_number("bf16"),
        covers=tuple(_read_cover(f"{row.where}.covers", item) for item in row.items("covers")),
        source=row.text("source"),
        checked=row.maybe_text("checked") or checked,
    )


def _read_patterns(row: Row) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(f"{_MAKER}(?:{text})") for text in row.texts("names"))
    except re.error as error:
        raise row.wrong("names", f"regular expressions ({error})") from None


def _read_capability(row: Row) -> tuple[int, int]:
    # YAML reads 8.0 as a number; its text has the two figures again, since the second has one digit.
    text = str(row.number("capability"))
    if not _CAPABILITY.fullmatch(text):
        raise row.wrong("capability", "a compute capability such as 8.0")
    major, minor = text.split(".")
    return int(major), int(minor)


def _read_cover(where: str, item: object) -> Cover:
    if isinstance(item, str):
        return Cover(item)
    row = Row.of(where, item)
    return Cover(row.text("name"), row.text("reason"))


def _read_platform(key: str, file: Row, accelerators: set[str]) -> Platform:
    price, menu, release = file.row("unit_price"), file.row("menu"), file.row("release")
    return Platform(
        key=key,
        title=file.text("title"),
        unit_price=UnitPrice(price.number("usd"), price.text("source"), price.text("checked")),
        plans=tuple(_read_plan(f"{file.where}.plans", item) for item in file.items("plans")),
        menu=MenuLabels(
            change_runtime=menu.text("change_runtime"),
            accelerator=menu.text("accelerator"),
            shape=menu.text("shape"),
            high_ram=menu.text("high_ram"),
        ),
        release=ReleaseTiming(
            attempt_timeout_s=release.duration("attempt_timeout"),
            give_up_after_s=release.duration("give_up_after"),
            first_wait_s=release.duration("first_wait"),
            longest_wait_s=release.duration("longest_wait"),
        ),
        runtimes=tuple(_read_runtime(name, row, accelerators) for name, row in file.rows("runtimes")),
    )


def _read_plan(where: str, item: object) -> Plan:
    row = Row.of(where, item)
    return Plan(row.text("name"), row.number("usd"), row.number("units"), row.text("per"))


def _read_runtime(key: str, row: Row, accelerators: set[str]) -> Runtime:
    gpu = row.maybe_text("gpu")
    if gpu is not None and gpu not in accelerators:
        raise row.wrong("gpu", "a class of accelerators.yaml")
    return Runtime(
        key=key,
        title=row.text("title"),
        gpu=gpu,
        tpu=row.maybe_text("tpu"),
        ram_bytes=row.maybe_size("ram"),
        gpu_memory_bytes=row.maybe_size("gpu_memory"),
        units_per_hour=row.maybe_number("units"),
        checked=row.maybe_text("checked"),
        confidence=row.text("confidence"),
        high_ram=row.flag("high_ram"),
        menu_accelerator=row.maybe_text("menu") or "",
    )
