"""What must hold after a shot at a save. Evidence in, problems out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from helpers.kills import states
from helpers.kills.shots import WHILE_IT_RUNS
from helpers.kills.world import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.kills.states import State
    from helpers.kills.world import Evidence

NOT_SAVED, LOST = 74, 137
OPEN = "open"


def judge(seen: Evidence) -> list[str]:
    """Everything that is wrong."""
    if seen.problems:
        return seen.problems
    found = [*_outputs(seen), *_release(seen), *_told(seen)]
    if seen.recovered is not None:
        found += [f"restored in the end: {what}" for what in _restored(seen, seen.recovered, recovered=True)]
    if seen.vanished is not None:
        found += [
            f"restored after the kill: {what}" for what in _restored(seen, seen.vanished, recovered=False)
        ]
    return found


def _outputs(seen: Evidence) -> Iterator[str]:
    """Complete, byte for byte, and nothing of ours beside it."""
    target = seen.folder / "to"
    for name in OUTPUTS:
        manifest = states.manifest_of(target, name)
        if manifest is None:
            yield f"no manifest of {name}"
            continue
        if (told := states.promised(manifest)) != seen.final[name]:
            yield f"the manifest of {name} is not its source: {_difference(told, seen.final[name] or {})}"
        if (real := states.there(target, name, manifest)) != told:
            yield f"what lies there of {name} is not its manifest: {_difference(real, told)}"
        if left := states.left_over(target, name):
            yield f"left over: {left}"
    if left := [path.name for path in (seen.folder / "work").glob(".colab-run-*")]:
        yield f"left over: {left}"


def _versions(seen: Evidence, name: str, path: str) -> list[tuple[str, str]]:
    """Everything that a file has been."""
    known = (seen.earlier.get(name), seen.running[name], seen.final[name])
    return [state[path] for state in known if state is not None and path in state]


def _release(seen: Evidence) -> Iterator[str]:
    """After everything was saved, by the policy, once."""
    if seen.shot.policy == "held for good":
        if seen.requests:
            yield "released what was to be held for good"
        return
    if not seen.requests:
        yield "no request"
    if len({nonce for nonce, _ in seen.requests}) > 1:
        yield f"asked for twice: {seen.requests}"
    for _, alive in seen.requests:
        if alive:
            yield f"processes {alive} of the job lived at a request"
    for taken in seen.at_request:
        yield from _at_request(seen, taken)


def _at_request(seen: Evidence, taken: dict[str, Any]) -> Iterator[str]:
    for name in OUTPUTS:
        text = taken["manifests"][name]
        if not text:
            yield f"released before {name} was saved"
            continue
        manifest = json.loads(text)
        if states.promised(manifest) != seen.final[name]:
            yield f"released with another state of {name} than its last"
        # What was there then is what was read in the end, if nobody has touched it since.
        for row in manifest["files"]:
            path = f"{name}/{row['path']}"
            if taken["stamps"]["to"].get(path) != seen.stamps["to"].get(path):
                yield f"{path} was written after the request"
    if {path: stamp for path, stamp in taken["stamps"]["work"].items() if not path.startswith(".")} != {
        path: stamp for path, stamp in seen.stamps["work"].items() if not path.startswith(".")
    }:
        yield "the source changed after the request"


def _told(seen: Evidence) -> Iterator[str]:
    """What `result.json` says, what lies beside the first output, and the exit code."""
    shot, result = seen.shot, seen.result
    held = shot.policy != "always"
    lost = shot.lost and shot.phase == WHILE_IT_RUNS
    code = LOST if lost else NOT_SAVED if held else 0
    if result["exit_code"] != code:
        yield f"exit code {result['exit_code']} in the result, not {code}"
    if seen.code not in (
        code,
        -9 if shot.victim in ("client", "ours") else code,
        LOST if shot.lost else code,
    ):
        yield f"the client's exit code: {seen.code}, not {code}"
    rows = {row["path"].rpartition("/")[2]: row for row in result["saved"]}
    for name in OUTPUTS:
        files = [what for what in (seen.final[name] or {}).values() if what[0] == "file"]
        row = rows.get(name, {})
        if not row.get("complete") or row["files"] != len(files):
            yield f"the result says of {name}: {row}"
    if held and rows["bad"]["complete"]:
        yield "said to be saved: what cannot be"
    run_id = result["run_id"]
    log = seen.folder / "to" / f"colab-run-{run_id}.log"
    if not log.is_file() or log.read_bytes() != (seen.folder / "home" / "runs" / run_id / "log").read_bytes():
        yield "the log beside the output is not the run's"
    receipt = json.loads((seen.folder / "to" / f"colab-run-{run_id}.receipt.json").read_text())
    for row in receipt["manifest"]:
        if states.sha256(row["path"]) != row["sha256"]:
            yield f"the receipt names another content of {row['path']}"


def _restored(seen: Evidence, machine: dict[str, Any], *, recovered: bool) -> Iterator[str]:
    """A whole state, or nothing where nothing was said to be saved."""
    if machine["code"] != 0:
        yield f"exit code {machine['code']}: {machine['said']}"
        return
    if machine["left"]:
        yield f"left over: {machine['left']}"
    for name in OUTPUTS:
        state, manifest = machine["found"][name], machine["manifests"][name]
        for path, what in machine["before"][name].items():
            if what[0] == "file" and what not in _versions(seen, name, path):
                yield f"{name}/{path} lay there, and was never like that"
        if name not in machine["pending"] and state != (
            None if manifest is None else states.promised(manifest)
        ):
            yield f"{name} is not what its manifest said"
        if recovered:
            allowed = [seen.final[name]]
        else:
            nothing = [] if name in seen.earlier else [None]
            allowed = [*nothing, seen.earlier.get(name), seen.running[name], seen.final[name]]
        if state not in allowed and (recovered or not _is_whole(seen, name, state)):
            yield f"{name} is no state that there ever was"
    some = any(machine["found"][name] is not None for name in OUTPUTS)
    if machine["resumed"] != ("1" if some else "0"):
        yield f"COLAB_RUN_RESUMED is {machine['resumed']!r}"


def _is_whole(seen: Evidence, name: str, state: State | None) -> bool:
    """While the job runs each unit is saved once it is complete: whole, and never while it is open."""
    if state is None:
        return False
    known = [seen.earlier.get(name, {}), seen.running[name]]
    units = {path.partition("/")[0] for path in state}
    return OPEN not in units and all(
        any(_unit(state, unit) == _unit(other, unit) for other in known) for unit in units
    )


def _unit(state: State, unit: str) -> State:
    return {path: what for path, what in state.items() if path.partition("/")[0] == unit}


def _difference(one: State, other: State) -> list[str]:
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))[:6]
