"""A configuration of dstack as a job file. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.converting import quantities, shared
from launcher.converting.keys import NO_SERVICE, UNREADABLE, Keys
from launcher.converting.model import Draft
from launcher.spec.gpu import is_class
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.converting.keys import Item
    from launcher.spec.tree import Mapping

_SIZE = re.compile(
    r"[0-9.]*\s*[MGT]B(?:\s*\.\.\s*[0-9.]*\s*(?:[MGT]B)?)?|[0-9.]+\s*\.\.\s*[0-9.]+\s*[MGT]B", re.IGNORECASE
)
_COUNT = re.compile(r"[0-9]+(?:\s*\.\.\s*[0-9]*)?|\.\.\s*[0-9]+")
_VENDORS = ("nvidia", "amd", "google", "tpu", "intel", "tenstorrent")
_VARIABLE = re.compile(r"\$\{?(DSTACK_[A-Z0-9_]+)")
_RESTARTS = "3"
NO_DEVELOPMENT = words("a job runs to its end; where you develop is your notebook")


def convert_dstack(top: Mapping, classes: Collection[str], is_folder: Callable[[str], bool]) -> Draft:
    """The draft of a job that does what the task does on one machine."""
    draft = Draft()
    keys = Keys(draft, top)
    kind = keys.take("type")
    if kind is not None and kind.text != "task":
        kind.leave(NO_DEVELOPMENT if kind.text == "dev-environment" else NO_SERVICE)
    name = keys.take("name")
    if name is not None and name.text:
        draft.keys["name"] = name.text
    nodes = keys.take("nodes")
    if nodes is not None and nodes.text != "1":
        nodes.leave()
    resources = keys.take("resources")
    inner = resources.keys() if resources is not None else None
    if inner is not None:
        _resources(draft, inner, classes)
        inner.leave_rest()
    elif resources is not None and not resources.empty:
        resources.leave(UNREADABLE)
    shared.take_folder(draft, keys.take("working_dir"), is_folder)
    shared.take_env(draft, keys.take("env"))
    for theirs, ours in (("setup", "setup"), ("init", "setup"), ("commands", "run")):
        _commands(draft, keys.take(theirs), ours)
    _limits(draft, keys)
    shared.close(draft, keys)
    return draft


def _resources(draft: Draft, keys: Keys, classes: Collection[str]) -> None:
    cpu = keys.take("cpu")
    if cpu is not None and cpu.keys() is not None:
        inner = cpu.keys()
        count = inner.take("count") if inner is not None else None
        shared.take_least(draft, count, "cpus", shared.number)
        if inner is not None:
            inner.leave_rest()
    elif cpu is not None:
        if ":" in (cpu.text or ""):
            cpu.leave(words("the kind of processor is what the machine has"))
        shared.take_least(draft, cpu, "cpus", lambda text: shared.number(text.rpartition(":")[2]))
    shared.take_least(draft, keys.take("memory"), "ram", shared.binary_size)
    disk = keys.take("disk")
    disk_keys = disk.keys() if disk is not None else None
    if disk_keys is not None:
        shared.take_least(draft, disk_keys.take("size"), "disk", shared.binary_size)
        disk_keys.leave_rest()
    else:
        shared.take_least(draft, disk, "disk", shared.binary_size)
    _gpu(draft, keys.take("gpu"), classes)


# --- gpu ------------------------------------------------------------------------------------------


def _gpu(draft: Draft, item: Item | None, classes: Collection[str]) -> None:
    if item is None or item.empty:
        return
    keys = item.keys()
    names: list[str] = []
    memory = count = ""
    capability = ""
    if keys is not None:
        named = keys.take("name")
        names = [one for text in (named.texts() if named is not None else []) for one in _listed(text)]
        memory, count, capability = (
            _text(keys.take(key)) for key in ("memory", "count", "compute_capability")
        )
        vendor = keys.take("vendor")
        if vendor is not None and (vendor.text or "").lower() != "nvidia":
            vendor.leave(words("GPUs are NVIDIA's here"))
        keys.leave_rest()
    else:
        for part in (part.strip() for text in item.texts() for part in text.split(":")):
            if _SIZE.fullmatch(part):
                memory = part
            elif _COUNT.fullmatch(part):
                count = part
            elif part.lower() in _VENDORS:
                if part.lower() != "nvidia":
                    item.leave(words("GPUs are NVIDIA's here"))
            else:
                names += _listed(part)
    _put_gpu(draft, item, names, memory, count, capability, classes)


def _put_gpu(
    draft: Draft,
    item: Item,
    names: list[str],
    memory: str,
    count: str,
    capability: str,
    classes: Collection[str],
) -> None:
    least_memory, memory_upper = quantities.least(memory)
    least_count, count_upper = quantities.least(count)
    if memory_upper or count_upper:
        item.leave(quantities.NO_UPPER_END)
    if least_count == "0":
        draft.within("resources")["gpu"] = "none"
        return
    suffix = f":{least_count}" if least_count not in ("", "1") else ""
    figure = re.match("[0-9]+", least_memory)
    if names:
        found = [
            _named(draft, item, name, figure.group() if figure else "", least_count, classes)
            for name in names
        ]
        known = [one for one in found if one] or [f"any{suffix}"]
        draft.within("resources")["gpu"] = known if len(known) > 1 else known[0]
        if capability:
            item.leave(words("the class says which architecture it is"))
        return
    wanted: dict[str, object] = {}
    if figure:
        # What is sold as 24 GB has a little less than 24 GiB, and a little more than 24 GB.
        wanted["memory"] = least_memory if least_memory.upper().endswith("B") else f"{least_memory}GB"
    if capability:
        wanted["compute_capability"] = quantities.least(capability)[0]
    if wanted and least_count:
        wanted["count"] = least_count
    draft.within("resources")["gpu"] = wanted or f"any{suffix}"


def _named(
    draft: Draft, item: Item, name: str, memory: str, count: str, classes: Collection[str]
) -> str | None:
    sized = f"{name}-{memory}GB"
    if memory and is_class(sized, classes):
        name = sized
    elif memory:
        item.leave(words("the memory is that of the class: to ask for memory, write `gpu: {{memory: 40GB}}`"))
    return quantities.gpu(draft, item.line, quantities.cleaned(item.path), name, count, classes)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _text(item: Item | None) -> str:
    if item is None:
        return ""
    if item.text is None:
        item.leave(UNREADABLE)
    return item.text or ""


# --- commands and limits --------------------------------------------------------------------------


def _commands(draft: Draft, item: Item | None, key: str) -> None:
    if item is None or item.empty:
        return
    text = "\n".join(line.strip("\n") for line in item.texts())
    lines = []
    known = {"DSTACK_NODE_RANK": "0", "DSTACK_NODES_NUM": "1", "DSTACK_MASTER_NODE_IP": "127.0.0.1"}
    known |= {
        "DSTACK_RUN_ID": '"$COLAB_RUN_ID"',
        "DSTACK_RUN_NAME": '"$COLAB_RUN_ID"',
        "DSTACK_WORKING_DIR": '"$PWD"',
    }
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if name in known:
            lines.append(f"export {name}={known[name]}")
            draft.remark(key, words("The first lines stand for variables that dstack would set."))
        else:
            draft.leave(item.line, f"${name}", words("nothing sets this variable here"))
    if text.strip():
        draft.keys[key] = "\n".join([*lines, text])


def _limits(draft: Draft, keys: Keys) -> None:
    for theirs, ours in (("max_duration", "max_duration"), ("stop_duration", "stop_grace")):
        item = keys.take(theirs)
        if item is None or item.text in shared.OFF or item.empty:
            continue
        seconds = shared.seconds_of(item.text, 1)
        if seconds:
            draft.keys[ours] = quantities.duration(seconds)
        else:
            item.leave(UNREADABLE)
    _idle_duration(draft, keys.take("idle_duration"))
    _retry(draft, keys.take("retry"))
    _utilization(draft, keys.take("utilization_policy"))
    price = keys.take("max_price")
    if price is not None:
        price.leave(words("theirs is for an hour; `budget` limits what a whole run may cost"))


def _idle_duration(draft: Draft, item: Item | None) -> None:
    if item is None:
        return
    seconds = shared.seconds_of(item.text, 1)
    if item.text in shared.OFF:
        draft.keys["release"] = {"when": "never"}
    elif seconds is None:
        item.leave(UNREADABLE)
    elif seconds == 0:
        draft.keys["release"] = {"when": "always"}
    else:
        draft.keys["release"] = {"when": "idle", "after": quantities.duration(seconds)}


def _retry(draft: Draft, item: Item | None) -> None:
    if item is None or item.text in ("false", "off") or item.empty:
        return
    keys = item.keys()
    events = ["no-capacity", "interruption", "error"]
    if keys is not None:
        named = keys.take("on_events")
        events = named.texts() if named is not None else events
        duration = keys.take("duration")
        if duration is not None:
            duration.leave(words("restarts are counted here, not timed: see `max_restarts`"))
        keys.leave_rest()
    elif item.text != "true":
        item.leave(UNREADABLE)
        return
    if "error" in events:
        draft.keys["retry"] = {"max_restarts": _RESTARTS, "on": ["oom", "error", "signal"]}
    others = [event for event in events if event != "error"]
    if others:
        item.leave(
            words(
                "{events}: no machine is waited for or brought; `restore: true` of an output lets the next"
                " one go on",
                events=quantities.cleaned(", ".join(others)),
            )
        )


def _utilization(draft: Draft, item: Item | None) -> None:
    keys = item.keys() if item is not None else None
    if item is None or keys is None:
        if item is not None and not item.empty:
            item.leave(UNREADABLE)
        return
    window, least = keys.take("time_window"), keys.take("min_gpu_utilization")
    seconds = shared.seconds_of(window.text, 1) if window is not None else None
    if seconds:
        draft.keys["idle"] = {"after": quantities.duration(seconds), "action": "stop"}
    elif window is not None:
        window.leave(UNREADABLE)
    if least is not None:
        least.leave(words("there is no threshold: a job is idle when nothing of it works, not only the GPU"))
    keys.leave_rest()
