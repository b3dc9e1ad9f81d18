"""`checks:` and `inputs:` of a job beside what was found: one finding for each. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.record import reading_json
from launcher.values import Known, Unknown, format_size
from launcher.verdict.model import Finding, FindingCode, Status
from launcher.verdict.texts import explain
from launcher.verdict.versions import meets, name_of
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.probes.model import HostAnswer, InputFacts, PythonFacts
    from launcher.spec.model import Input
    from launcher.values import Reading
    from launcher.verdict.wheels import Ruling
    from launcher.words import Text


def judge_package(requirement: str, python: Reading[PythonFacts]) -> Finding:
    """One of `checks.packages` against what is installed in the job's Python."""
    if isinstance(python, Unknown):
        text = explain(python.reason)
        return _package(requirement, reading_json(python), Status.UNKNOWN, text)
    facts = python.value
    where = words("looked for in {python} (Python {version})", python=facts.executable, version=facts.version)
    version = facts.versions.get(name_of(requirement))
    if version is None:
        return _package(requirement, "not installed", Status.SHORT, words("not installed"), where)
    holds = meets(requirement, version)
    if holds is None:
        unreadable = words("{version} cannot be compared", version=version)
        return _package(requirement, version, Status.UNKNOWN, unreadable, where)
    return _package(requirement, version, Status.MET if holds else Status.SHORT, version, where)


def _package(requirement: str, found: object, status: Status, text: Text, note: Text = "") -> Finding:
    return Finding(
        f"package {requirement}", requirement, found, status, FindingCode.PACKAGE, requirement, text, note
    )


def judge_ruling(ruling: Ruling) -> Finding:
    """A wheel that the job file names, and that cannot work on this GPU or with this driver."""
    return Finding(
        requirement=f"wheel {ruling.wheel.package}",
        wanted=ruling.wanted,
        found=ruling.found,
        status=Status.SHORT,
        code=FindingCode.WHEEL,
        wanted_text=ruling.wanted,
        found_text=ruling.wheel.title,
        note=ruling.text,
    )


def judge_file(path: str, found: InputFacts) -> Finding:
    """One of `checks.files`: is it there?"""
    status, json, text, note = _presence(found)
    return Finding(f"file {path}", "there", json, status, FindingCode.FILE, words("there"), text, note)


def judge_input(wanted: Input, found: InputFacts) -> Finding:
    """One of `inputs`: is it there, and as large as it should be?"""
    asked: Text = words("there") if wanted.size_bytes is None else format_size(wanted.size_bytes)
    json: object = "there" if wanted.size_bytes is None else wanted.size_bytes
    status, got, text, note = _presence(found)
    size = found.size_bytes
    if wanted.size_bytes is not None and isinstance(size, Known):
        got, text = size.value, format_size(size.value)
        if size.value < wanted.size_bytes:
            status = Status.SHORT
            note = words(
                "the job file says {size}: has it been copied completely?",
                size=format_size(wanted.size_bytes),
            )
    return Finding(f"input {wanted.path}", json, got, status, FindingCode.INPUT, asked, text, note)


def _presence(found: InputFacts) -> tuple[Status, object, Text, Text]:
    size = found.size_bytes
    if size is None:
        return Status.SHORT, "missing", words("missing"), words("looked for at {path}", path=found.path)
    if isinstance(size, Unknown):
        return Status.UNKNOWN, reading_json(size), explain(size.reason), ""
    return Status.MET, "there", words("there"), ""


def on_drive(finding: Finding) -> Finding:
    """What is missing because Drive is not mounted."""
    said = words("Drive is not mounted")
    code = "from google.colab import drive; drive.mount('/content/drive')"
    return replace(
        finding,
        code=FindingCode.DRIVE_NOT_MOUNTED,
        found_text=said,
        note=words("mount it in a cell of its own (a command after ! cannot): {code}", code=code),
    )


def judge_room(inputs: Sequence[Input], disk_bytes: int, free: Reading[int]) -> Finding | None:
    """What the job makes of its inputs, all together and beside `resources.disk` where that is the same disk.

    `disk_bytes` is 0 where it is another; None where no input asks for room.
    """
    wanted = sum(one.room_bytes or 0 for one in inputs)
    if not wanted:
        return None
    whole = wanted + disk_bytes
    note: Text = ""
    if isinstance(free, Unknown):
        status, text = Status.UNKNOWN, explain(free.reason)
    else:
        status = Status.MET if free.value >= whole else Status.SHORT
        text = words("{size} free", size=format_size(free.value))
        if disk_bytes:
            note = words(
                "{room} for the inputs and {disk} for the job (resources.disk)",
                room=format_size(wanted),
                disk=format_size(disk_bytes),
            )
    return Finding(
        "room", whole, reading_json(free), status, FindingCode.ROOM, format_size(whole), text, note
    )


def judge_host(found: HostAnswer) -> Finding:
    """One of `checks.network`: did a connection come about?"""
    problem = found.problem
    text: Text = words("reached")
    if found.by_proxy and not problem:
        text = words("the proxy {proxy} answers", proxy=found.address)
    elif problem:
        text = _why(problem)
    note: Text = ""
    if problem and found.by_proxy:
        note = words("this goes through the proxy {proxy} (HTTPS_PROXY or the like)", proxy=found.address)
    return Finding(
        requirement=f"host {found.asked}",
        wanted="reachable",
        found=problem or ("proxy" if found.by_proxy else "reached"),
        status=Status.SHORT if problem else Status.MET,
        code=FindingCode.HOST,
        wanted_text=words("reachable"),
        found_text=text,
        note=note,
    )


def judge_hosts_unknown(asked: str, why: str) -> Finding:
    """The child that was to connect did not come back."""
    unknown = Unknown("network-failed" if why != "timeout" else "network-timeout")
    return Finding(
        f"host {asked}",
        "reachable",
        reading_json(unknown),
        Status.UNKNOWN,
        FindingCode.HOST,
        words("reachable"),
        explain(unknown.reason),
    )


def _why(problem: str) -> Text:
    known = {
        "name": words("there is no such name"),
        "timeout": words("no answer"),
        "refused": words("the connection is refused"),
    }
    return known.get(problem) or reason(problem)
