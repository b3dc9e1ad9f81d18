"""Read the data files of `configs/` into a Catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.catalog.files import CONFIGS_VARIABLE
from launcher.catalog.model import (
    PLAN_LEVELS,
    Accelerator,
    Catalog,
    Cover,
    Label,
    Links,
    MenuLabels,
    Place,
    Plan,
    Platform,
    Retired,
    Runtime,
    UnitPrice,
)
from launcher.catalog.rows import Row
from launcher.errors import UsageError
from launcher.release.interface import ReleaseTiming
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CAPABILITY = re.compile(r"\d+\.\d")
# Drivers before 2021 do not put the maker's name in front of every product.
_MAKER = "(?:NVIDIA )?"
_CONFIDENCES = ("high", "medium", "low")
_OTHER_PLACES = ("kaggle", "generic")


def load_catalog(configs_dir: Path) -> Catalog:
    """The catalogue in `configs_dir` (see files.find_configs).

    Raises UsageError, with the place, for a file that is missing or does not say what it should.
    """
    accelerators = _read_accelerators(read_file(configs_dir / "accelerators.yaml"))
    names = {row.name for row in accelerators}
    platforms = configs_dir / "platforms"
    colab = _read_platform("colab", read_file(platforms / "colab.yaml"), names)
    return Catalog(accelerators, colab, tuple(_read_places(platforms)))


def _read_places(folder: Path) -> Iterator[Place]:
    """The places without a menu; a copy of configs/ from before there were any has none."""
    for key in _OTHER_PLACES:
        path = folder / f"{key}.yaml"
        if path.is_file():
            file = read_file(path)
            yield Place(key, file.text("title"), file.texts("engines"))


def read_file(path: Path, *, may_be_empty: bool = False) -> Row:
    """A data file as a row. Raises UsageError."""
    import yaml

    # libyaml is ten times as fast, and missing from a PyYAML that was built without it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load(path.read_text("utf-8"), Loader=loader)  # noqa: S506 - safe loaders
    except (OSError, ValueError, yaml.YAMLError) as error:
        # ValueError: no UTF-8, or a date such as 2026-13-01.
        raise UsageError(
            words("{path} cannot be read: {why}", path=path, why=error),
            words("repair it, or unset {variable}", variable=CONFIGS_VARIABLE),
        ) from error
    return Row(str(path), {}) if found is None and may_be_empty else Row.of(str(path), found)


def _read_accelerators(file: Row) -> tuple[Accelerator, ...]:
    checked = file.text("checked")
    found = tuple(_read_accelerator(name, row, checked) for name, row in file.rows("accelerators"))
    names = {row.name for row in found}
    for row in found:
        for cover in row.covers:
            if cover.name not in names:
                raise UsageError(
                    words(
                        "{place}: {name} covers {other}, which has no row of its own",
                        place=file.where,
                        name=row.name,
                        other=cover.name,
                    )
                )
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
    price, release, links = file.row("unit_price"), file.row("release"), file.row("links")
    image = file.size("image")
    runtimes = tuple(_read_runtime(name, row, accelerators, image) for name, row in file.rows("runtimes"))
    keys = {row.key for row in runtimes}
    return Platform(
        key=key,
        title=file.text("title"),
        unit_price=UnitPrice(price.number("usd"), price.text("source"), price.date("checked")),
        plans=tuple(_read_plan(f"{file.where}.plans", item) for item in file.items("plans")),
        units_expire_s=file.duration("units_expire"),
        links=Links(
            plans=links.text("plans"),
            more=links.text("more"),
            limits=links.text("limits"),
            billing=links.text("billing"),
        ),
        menu=_read_menu(file.row("menu")),
        release=ReleaseTiming(
            attempt_timeout_s=release.duration("attempt_timeout"),
            give_up_after_s=release.duration("give_up_after"),
            first_wait_s=release.duration("first_wait"),
            longest_wait_s=release.duration("longest_wait"),
        ),
        runtimes=runtimes,
        retired=tuple(_read_retired(name, row, keys) for name, row in file.rows("retired")),
        engines=file.texts("engines"),
    )


def _read_menu(menu: Row) -> MenuLabels:
    captions, seen = menu.row("captions"), menu.text("seen")

    def label(name: str) -> Label:
        row = captions.row(name)
        local = tuple((lang, text) for lang in ("zh-TW", "zh-CN") if (text := row.maybe_text(lang)))
        return Label(row.text("en"), local, row.maybe_text("seen") or seen, row.texts("unsure"))

    return MenuLabels(
        change_runtime=label("change_runtime"),
        accelerator=label("accelerator"),
        shape=label("shape"),
        high_ram=label("high_ram"),
        disconnect=label("disconnect"),
        sessions=label("sessions"),
        resources=label("resources"),
        restart=label("restart"),
        interrupt=label("interrupt"),
        feedback=label("feedback"),
    )


def _read_plan(where: str, item: object) -> Plan:
    row = Row.of(where, item)
    return Plan(
        key=row.text("key"),
        name=row.text("name"),
        usd=row.number("usd"),
        units=row.number("units"),
        per=row.text("per"),
        allows=_one_of(row, "allows", PLAN_LEVELS),
        longest_s=None if row.maybe_text("longest") is None else row.duration("longest"),
        background=row.flag("background"),
    )


def _read_runtime(key: str, row: Row, accelerators: set[str], image: int) -> Runtime:
    gpu = row.maybe_text("gpu")
    if gpu is not None and gpu not in accelerators:
        raise row.wrong("gpu", "a class of accelerators.yaml")
    disk = row.maybe_size("disk")
    left = None if disk is None else max(0, disk - image)
    return Runtime(
        key=key,
        title=row.text("title"),
        gpu=gpu,
        tpu=row.maybe_text("tpu"),
        ram_bytes=row.maybe_size("ram"),
        gpu_memory_bytes=row.maybe_size("gpu_memory"),
        units_per_hour=row.maybe_number("units"),
        checked=row.maybe_date("checked"),
        confidence=_one_of(row, "confidence", _CONFIDENCES),
        high_ram=row.flag("high_ram"),
        menu_accelerator=row.maybe_text("menu") or "",
        plan=_one_of(row, "plan", PLAN_LEVELS),
        tpu_memory_bytes=row.maybe_size("tpu_memory"),
        disk_bytes=disk,
        disk_free_bytes=row.maybe_size("disk_free") or left,
        cpus=row.maybe_number("cpus"),
        shape_source=row.text("shape_source"),
        units_source=row.maybe_text("units_source") or "",
    )


def _read_retired(key: str, row: Row, keys: set[str]) -> Retired:
    return Retired(
        key=key,
        title=row.text("title"),
        gpu=row.maybe_text("gpu"),
        tpu=row.maybe_text("tpu"),
        instead=_one_of(row, "instead", sorted(keys)),
        source=row.text("source"),
    )


def _one_of(row: Row, key: str, known: Sequence[str]) -> str:
    text = row.text(key)
    if text not in known:
        raise row.wrong(key, f"one of {', '.join(known)}")
    return text
