"""A task of SkyPilot as a job file. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.converting import quantities, shared
from launcher.converting.keys import FILES, UNREADABLE, WHY, Item, Keys
from launcher.converting.model import Draft
from launcher.converting.shell_lines import STOPS
from launcher.converting.slurm_script import GOES_ON
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.spec.tree import Mapping

_BUCKET = re.compile(r"(?:gs|s3|hf)://\S+")
_VARIABLE = re.compile(r"\$\{?(SKYPILOT_[A-Z0-9_]+)")


def convert_skypilot(top: Mapping, classes: Collection[str], is_folder: Callable[[str], bool]) -> Draft:
    """The draft of a job that does what the task does on one machine."""
    draft = Draft()
    keys = Keys(draft, top)
    name = keys.take("name")
    if name is not None and name.text:
        draft.keys["name"] = name.text
    nodes = keys.take("num_nodes")
    if nodes is not None and nodes.text != "1":
        nodes.leave()
    resources = keys.take("resources")
    inner = resources.keys() if resources is not None else None
    if inner is not None:
        _resources(draft, inner, classes)
        inner.leave_rest()
    elif resources is not None and not resources.empty:
        resources.leave(UNREADABLE)
    shared.take_folder(draft, keys.take("workdir"), is_folder)
    shared.take_env(draft, keys.take("envs"))
    shared.take_secrets(draft, keys.take("secrets"))
    _mounts(keys.take("file_mounts"))
    for key in ("setup", "run"):
        _script(draft, keys.take(key), key)
    shared.close(draft, keys)
    return draft


def _resources(draft: Draft, keys: Keys, classes: Collection[str]) -> None:
    wanted = _accelerators(draft, keys.take("accelerators"), classes)
    for name in ("any_of", "ordered"):
        wanted += _alternatives(draft, keys.take(name), classes)
    _put_gpus(draft, wanted)
    shared.take_least(draft, keys.take("memory"), "ram", shared.binary_size)
    shared.take_least(draft, keys.take("disk_size"), "disk", shared.binary_size)
    shared.take_least(draft, keys.take("cpus"), "cpus", shared.number)
    _autostop(draft, keys.take("autostop"))
    _recovery(draft, keys.take("job_recovery"))
    spot = keys.take("use_spot")
    if spot is not None and spot.text not in ("false", "False"):
        spot.leave()


def _put_gpus(draft: Draft, wanted: list[str]) -> None:
    found = list(dict.fromkeys(wanted))
    named = [one for one in found if not one.startswith("any")]
    if found:
        draft.within("resources")["gpu"] = named if len(named) > 1 else (named or found)[0]


def _accelerators(draft: Draft, item: Item | None, classes: Collection[str]) -> list[str]:
    if item is None or item.empty:
        return []
    keys = item.keys()
    if keys is not None:
        pairs = [(name, value.text or "", value) for name, value in keys.every()]
    else:
        pairs = [(text, "", one) for one in item.items() for text in [one.text or ""]]
    found = []
    for name, count, one in pairs:
        # The set form: `{A100:1, L4:1}`.
        name, colon, behind = name.partition(":")
        asked = _accelerator(draft, one, name.strip(), (behind if colon else count).strip(), classes)
        if asked:
            found.append(asked)
    return found


def _accelerator(draft: Draft, item: Item, name: str, count: str, classes: Collection[str]) -> str | None:
    tpu = re.fullmatch(r"tpu-(v[0-9]+[a-z]*)-([0-9]+)", name.lower().replace("litepod", "e"))
    if tpu is not None:
        draft.within("resources")["tpu"] = f"{tpu.group(1)}-{tpu.group(2)}"
        return None
    if not name:
        item.leave(UNREADABLE)
        return None
    found = quantities.gpu(
        draft, item.line, quantities.cleaned(item.path), name, _whole(item, count), classes
    )
    return found or "any"


def _whole(item: Item, count: str) -> str:
    """`1`, `1+`; half a GPU is one."""
    least = count.removesuffix("+")
    if re.fullmatch(r"0?\.[0-9]+", least):
        item.leave(words("a GPU is given whole; see `gpu_sharing`"))
        return "1"
    return least


def _alternatives(draft: Draft, item: Item | None, classes: Collection[str]) -> list[str]:
    """Their GPUs are ours to choose from; what else an alternative asks for is listed."""
    found: list[str] = []
    for one in item.items() if item is not None else []:
        keys = one.keys()
        if keys is None:
            one.leave(UNREADABLE)
            continue
        found += _accelerators(draft, keys.take("accelerators"), classes)
        for name, value in keys.every():
            if name != "accelerators":
                value.leave(WHY.get(name, words("alternatives differ in their GPUs only: `gpu: [L4, A100]`")))
    return found


def _autostop(draft: Draft, item: Item | None) -> None:
    if item is None:
        return
    keys = item.keys()
    if keys is None:
        _release(draft, item)
        return
    minutes, down = keys.take("idle_minutes"), keys.take("down")
    if minutes is not None:
        _release(draft, minutes)
    else:
        draft.keys["release"] = {"when": "idle", "after": "30m"}
    if down is not None:
        down.leave(words("a machine that is handed back is gone"))
    keys.leave_rest()


def _release(draft: Draft, item: Item) -> None:
    """A bare number counts in minutes."""
    if item.text in shared.OFF:
        draft.keys["release"] = {"when": "never"}
        return
    seconds = shared.seconds_of(item.text, 60)
    if item.text == "true":
        draft.keys["release"] = {"when": "idle", "after": "30m"}
    elif seconds is None:
        item.leave(UNREADABLE)
    elif seconds == 0:
        draft.keys["release"] = {"when": "always"}
    else:
        draft.keys["release"] = {"when": "idle", "after": quantities.duration(seconds)}


def _recovery(draft: Draft, item: Item | None) -> None:
    if item is None or item.empty:
        return
    keys = item.keys()
    if keys is None:
        item.leave(words("a lost machine is not replaced; a job that fails is started again by `retry`"))
        return
    most = keys.take("max_restarts_on_errors")
    if most is not None and re.fullmatch("[0-9]{1,3}", most.text or ""):
        draft.keys["retry"] = {"max_restarts": most.text, "on": ["oom", "error", "signal"]}
    elif most is not None:
        most.leave(UNREADABLE)
    strategy = keys.take("strategy")
    if strategy is not None and not strategy.empty:
        strategy.leave(words("a lost machine is not replaced; a job that fails is started again by `retry`"))
    keys.leave_rest()


def _mounts(item: Item | None) -> None:
    keys = item.keys() if item is not None else None
    if keys is None:
        if item is not None and not item.empty:
            item.leave()
        return
    for path, value in keys.every():
        inner = value.keys()
        source = inner.take("source") if inner is not None else None
        bucket = value.text or (source.text if source is not None else None) or ""
        if _BUCKET.fullmatch(bucket):
            value.leave(
                words(
                    "nothing is mounted: fetch {bucket} in `setup`, or, if it takes results, write"
                    " `outputs: [{{path: {path}, to: {bucket}}}]`",
                    bucket=quantities.cleaned(bucket),
                    path=quantities.cleaned(path),
                )
            )
        else:
            value.leave(FILES)


def _script(draft: Draft, item: Item | None, key: str) -> None:
    if item is None or item.empty:
        return
    if item.text is None:
        item.leave(UNREADABLE)
        return
    text = item.text.strip("\n")
    commands = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not commands:
        return
    if len(commands) > 1 and not STOPS.search(text):
        item.leave(GOES_ON)
    draft.keys[key] = "\n".join([*_variables(draft, item, text, draft.keys.get("resources")), text])


def _variables(draft: Draft, item: Item, text: str, resources: object) -> list[str]:
    gpu = resources.get("gpu") if isinstance(resources, dict) else None
    first = gpu[0] if isinstance(gpu, list) else str(gpu or "")
    count = first.partition(":")[2] or ("1" if first else "0")
    known = {
        "SKYPILOT_NODE_RANK": "0",
        "SKYPILOT_NUM_NODES": "1",
        "SKYPILOT_NODE_IPS": "127.0.0.1",
        "SKYPILOT_NUM_GPUS_PER_NODE": count,
        "SKYPILOT_TASK_ID": '"$COLAB_RUN_ID"',
    }
    lines = []
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if name in known:
            lines.append(f"export {name}={known[name]}")
            draft.remark(item.path, words("The first lines stand for variables that SkyPilot would set."))
        else:
            draft.leave(item.line, f"${name}", words("nothing sets this variable here"))
    return lines
