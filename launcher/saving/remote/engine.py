"""Save to and restore from what is reached through a tool. Runs in a child (`saving/save.py`).

Nothing here raises for what a tool does: it is in the reports, as an English reason (`words.reason` knows
the fixed ones in other languages).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from launcher.saving.model import OURS, RestoreReport, SaveReport, TargetKind
from launcher.saving.remote import aws, gcloud, hf
from launcher.saving.remote.aws import Aws
from launcher.saving.remote.command import (
    command_problem,
    hand_over_file,
    run_command,
    save_by_command,
)
from launcher.saving.remote.gcloud import Gcloud
from launcher.saving.remote.hf import Hub
from launcher.saving.remote.hub_saving import HubSave, restore_from_hub
from launcher.saving.remote.model import DIFFERS, NotUnderstood, Store, ToolProblem
from launcher.saving.remote.prints import print_of
from launcher.saving.remote.rclone import Rclone
from launcher.saving.remote.restoring import is_empty, restore_from_store
from launcher.saving.remote.saving import StoreSave, verified
from launcher.saving.remote.scratch import alone, scratch, temporary_folder
from launcher.saving.remote.tool import Tools
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.saving.meter import Meter
    from launcher.saving.model import Order, Target
    from launcher.words import Text

_ENVIRONMENT = {
    TargetKind.GS: gcloud.ENVIRONMENT,
    TargetKind.S3: aws.ENVIRONMENT,
    TargetKind.HF: hf.ENVIRONMENT,
}
_TRIES = 2


def save_remote(order: Order, meter: Meter, environ: Mapping[str, str]) -> SaveReport:
    """Bring an output to its target; what is there afterwards, and what could not be saved."""
    report = SaveReport()
    tools = _tools(order.target, meter, environ)
    try:
        with ExitStack() as stack:
            what = f"{order.run_id} {order.source} {order.target.shown} {order.name}"
            stack.enter_context(alone(what, meter))
            if order.target.kind is TargetKind.COMMAND:
                return save_by_command(order, meter, tools)
            purpose = f"save {order.run_id} {order.source}"
            folder = stack.enter_context(scratch(temporary_folder(environ), purpose))
            if order.target.kind is TargetKind.HF:
                HubSave(order, _hub(order.target, tools, folder), meter, report).run()
            else:
                StoreSave(order, _store(order.target, tools, folder), meter, report, folder).run()
    except ToolProblem as problem:
        report.failures.append((order.source, str(problem)))
    except OSError as error:
        report.failures.append((order.source, error.strerror or str(error)))
    return report


def restore_remote(order: Order, meter: Meter, environ: Mapping[str, str]) -> RestoreReport:
    """Bring the saved state back to `order.source`, if nothing is there; all of it, verified, or nothing."""
    report = RestoreReport()
    if order.target.kind is TargetKind.COMMAND or not is_empty(order.source):
        return report
    tools = _tools(order.target, meter, environ)
    try:
        with scratch(temporary_folder(environ), f"restore {order.source}") as folder:
            if order.target.kind is TargetKind.HF:
                restore_from_hub(order, _hub(order.target, tools, folder), meter, report)
            else:
                store = _store(order.target, tools, folder)
                restore_from_store(order, store, meter, report, folder)
    except ToolProblem as problem:
        report.found |= isinstance(problem, NotUnderstood)
        report.failures.append((order.source, str(problem)))
    except OSError as error:
        report.failures.append((order.source, error.strerror or str(error)))
    return report


def put_file(path: str, target: Target, name: str, meter: Meter, environ: Mapping[str, str]) -> SaveReport:
    """One file, such as the log, under `name` beside the outputs."""
    tools = _tools(target, meter, environ)
    if target.kind is TargetKind.COMMAND:
        return hand_over_file(path, target, name, tools, meter)
    report = SaveReport()
    try:
        with scratch(temporary_folder(environ), f"put {path} {name}") as folder:
            for _ in range(_TRIES):
                said = _put(path, target, name, tools, folder, report)
                if not said:
                    return report
            report.failures.append((path, said))
    except ToolProblem as problem:
        report.failures.append((path, str(problem)))
    except OSError as error:
        report.failures.append((path, error.strerror or str(error)))
    return report


def _put(path: str, target: Target, name: str, tools: Tools, folder: str, report: SaveReport) -> str:
    """Why it is not there; empty if it is."""
    if target.kind is TargetKind.HF:
        hub = _hub(target, tools, folder)
        one, said = print_of(path, "", tools.meter), hub.refuses(name)
        said = said or hub.upload(path, name, one.size).said
        proven, read_back = hub.confirm(name, {"": one})[0], True
    else:
        store = _store(target, tools, folder)
        one, said = print_of(path, store.algorithm, tools.meter), store.refuses(name)
        said = said or store.upload_file(path, name).said
        proven = verified(store, name, {"": one}, single=True)
        read_back = store.read_back
    if not proven:
        return said or DIFFERS
    report.files = [(f"{target.shown.rstrip('/')}/{name}", one.size, one.sha256)]
    report.copied, report.committed = one.size, True
    report.verified = "read-back" if read_back else "checksum"
    return ""


def canary(target: Target, meter: Meter, environ: Mapping[str, str]) -> Text:
    """Write something small, read it back, remove it. Empty: that works. Otherwise why not."""
    tools = _tools(target, meter, environ)
    problem = target_problem(target, environ)
    if problem:
        return problem
    name = f"canary-{os.urandom(6).hex()}"
    try:
        with scratch(temporary_folder(environ), f"canary {target.text}") as folder:
            local = os.path.join(folder, name)
            with open(local, "w") as writer:
                writer.write(f"colab-run was here: {name}\n")
            if target.kind is TargetKind.COMMAND:
                return run_command(target, local, tools)
            said = _put(local, target, f"{OURS}/{name}", tools, folder, SaveReport())
            if target.kind is TargetKind.HF:
                _hub(target, tools, folder).remove(OURS, name)
            else:
                _store(target, tools, folder).remove(f"{OURS}/{name}", single=True)
            return said
    except ToolProblem as problem_:
        return str(problem_)
    except OSError as error:
        return error.strerror or str(error)


def target_problem(target: Target, environ: Mapping[str, str]) -> Text:
    """Without a network: why this target cannot work; empty if nothing is known against it."""
    from launcher.saving.meter import Meter

    meter = Meter()
    tools = _tools(target, meter, environ)
    try:
        if target.kind is TargetKind.COMMAND:
            return command_problem(target, tools)
        if target.kind is TargetKind.HF:
            return Hub(target.text, tools, "").problem()
        return _bare_store(target, tools, "").problem()
    except ToolProblem as problem:
        return words("{target}: {why}", target=target.shown, why=str(problem))
    finally:
        meter.close()


def _tools(target: Target, meter: Meter, environ: Mapping[str, str]) -> Tools:
    return Tools(environ, meter, **_ENVIRONMENT.get(target.kind, {}))


def _store(target: Target, tools: Tools, folder: str) -> Store:
    store = _bare_store(target, tools, folder)
    problem = store.problem()
    if problem:
        raise ToolProblem(str(problem))
    store.get_ready()
    return store


def _hub(target: Target, tools: Tools, folder: str) -> Hub:
    hub = Hub(target.text, tools, folder)
    problem = hub.problem()
    if problem:
        raise ToolProblem(str(problem))
    return hub


def _bare_store(target: Target, tools: Tools, folder: str) -> Store:
    if target.kind is TargetKind.RCLONE:
        return Rclone(target.text, tools, folder)
    if target.kind is TargetKind.GS:
        return Gcloud(target.text, tools)
    if target.kind is TargetKind.S3:
        return Aws(target.text, tools)
    raise ValueError(f"{target.kind} is not reached through a store")
