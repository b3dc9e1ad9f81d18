"""A script for sbatch as a job file. Pure: whoever calls says which folders there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.converting import quantities
from launcher.converting.model import Draft
from launcher.converting.secret import is_secret
from launcher.converting.shared import NOT_COPIED, add_secret
from launcher.converting.shell_lines import here_lines
from launcher.converting.slurm_options import NONE, ONE_PROCESS, WHY, Option, read_options, split_line
from launcher.converting.slurm_script import convert_body
from launcher.spec.matrix import MOST_RUNS
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_DIRECTIVE = re.compile(r"#SBATCH\b(.*)")
_GRES = re.compile(r"(?:gres[:/])?gpu(?::(?P<name>[A-Za-z][^:=]*))?(?:[:=](?P<count>[0-9]{1,6}))?(?:\(.*\))?")
_GPUS = re.compile(r"(?:(?P<name>[A-Za-z][^:]*):)?(?P<count>[0-9]{1,6})|(?P<alone>[A-Za-z][^:]*)")
_TIME = re.compile(r"(?:(?P<days>[0-9]{1,6})-)?(?P<rest>[0-9]{1,9}(?::[0-9]{1,9}){0,2})")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?")
_SIGNAL_GRACE_S = 60  # Slurm's, where the option names no time


def convert_slurm(text: str, classes: Collection[str], is_folder: Callable[[str], bool]) -> Draft:
    """The draft of a job that does what the script does. `is_folder` is asked as from the job file."""
    conversion = _Conversion(classes, is_folder)
    lines = text.splitlines()
    body_from = next(
        (at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")),
        len(lines),
    )
    body: list[tuple[int, str]] = []
    here = here_lines(lines)
    for at, line in enumerate(lines):
        directive = _DIRECTIVE.match(line)
        if directive is None or at + 1 in here:
            body.append((at + 1, line))
        elif at > body_from:
            conversion.draft.leave(
                at + 1,
                quantities.cleaned(line),
                words("Slurm reads no options behind the first command either"),
            )
        else:
            conversion.read(directive.group(1), at + 1)
    conversion.finish()
    convert_body(conversion.draft, body, conversion.facts, here)
    return conversion.draft


class _Conversion:
    """Options one by one; what they say together is put down at the end."""

    def __init__(self, classes: Collection[str], is_folder: Callable[[str], bool]) -> None:
        self.draft = Draft()
        self.classes, self.is_folder = classes, is_folder
        # What scripts ask Slurm's variables for.
        self.facts: dict[str, str] = {}
        self.gpu_names: list[str] = []
        self.gpu_count = 0
        self.cpus, self.tasks = 0, 1
        self.per: dict[str, Option] = {}
        self.gpus_of_task: Option | None = None
        self.takers: dict[str, Callable[[Option], object]] = {
            "job-name": self.name,
            "gres": self.gres,
            "gpus": self.gpus,
            "gpus-per-node": self.gpus,
            "gpus-per-task": self.each_task,
            "constraint": self.constraint,
            "mem": self.memory,
            "mem-per-cpu": self.later,
            "mem-per-gpu": self.later,
            "tmp": self.disk,
            "cpus-per-task": self.count_cpus,
            "ntasks": self.count_tasks,
            "nodes": self.nodes,
            "ntasks-per-node": self.nodes,
            "time": self.time,
            "signal": self.signal,
            "requeue": self.requeue,
            "array": self.array,
            "chdir": self.chdir,
            "export": self.export,
        }

    def read(self, text: str, line: int) -> None:
        options, rest = read_options(split_line(text), line, frozenset(self.takers))
        for option in options:
            taker = self.takers.get(option.name)
            if taker is None or taker(option) is False:
                self.leave(option)
        for word in rest:
            self.draft.leave(line, quantities.cleaned(word), NONE)

    def leave(self, option: Option, why: object = None) -> None:
        said = why if why is not None else WHY.get(option.name, NONE)
        self.draft.leave(option.line, quantities.cleaned(option.written), said)  # type: ignore[arg-type]

    def finish(self) -> None:
        self._take_each_task()
        self._write_gpus()
        cpus = max(1, self.cpus) * self.tasks
        if self.cpus or self.tasks > 1:
            self.draft.within("resources")["cpus"] = str(cpus)
        for option in self.per.values():
            each = quantities.size(option.value, "m")
            times = cpus if option.name == "mem-per-cpu" else max(1, self.gpu_count)
            whole = quantities.gib(_bytes(each) * times) if each else None
            if whole is None or "ram" in self.draft.within("resources"):
                self.leave(option)
            else:
                self.draft.within("resources")["ram"] = whole
        if not self.draft.keys.get("resources", True):
            del self.draft.keys["resources"]
        self.facts |= {"cpus": str(max(1, self.cpus)), "gpus": str(self.gpu_count)}

    def _take_each_task(self) -> None:
        """All tasks are on this machine, so their GPUs are too."""
        option = self.gpus_of_task
        match = _GPUS.fullmatch(option.value) if option is not None else None
        if option is None or match is None:
            return
        whole = int(match.group("count") or "1") * self.tasks
        self.take_gpus(option, match.group("name") or match.group("alone"), str(whole))
        if self.tasks > 1:
            self.leave(
                option,
                words("for {tasks} tasks that is {count} GPUs in all", tasks=self.tasks, count=whole),
            )

    def _write_gpus(self) -> None:
        names = list(dict.fromkeys(self.gpu_names))
        suffix = f":{self.gpu_count}" if self.gpu_count > 1 else ""
        if len(names) > 1:
            self.draft.within("resources")["gpu"] = [name + suffix for name in names]
        elif names or self.gpu_count:
            self.draft.within("resources")["gpu"] = (names[0] if names else "any") + suffix

    # --- each option; False: it says something for which there is no equivalent ------------------------

    def name(self, option: Option) -> None:
        self.draft.keys["name"] = option.value
        self.facts["name"] = option.value

    def gres(self, option: Option) -> bool:
        for one in option.value.split(","):
            match = _GRES.fullmatch(one.strip())
            if match is None:
                self.draft.leave(option.line, quantities.cleaned(one), NONE)
            else:
                self.take_gpus(option, match.group("name"), match.group("count") or "1")
        return True

    def gpus(self, option: Option) -> bool:
        match = _GPUS.fullmatch(option.value)
        if match is None:
            return False
        self.take_gpus(option, match.group("name") or match.group("alone"), match.group("count") or "1")
        return True

    def each_task(self, option: Option) -> bool:
        """How many tasks there are may stand in a later line."""
        self.gpus_of_task = option
        return _GPUS.fullmatch(option.value) is not None

    def take_gpus(self, option: Option, name: str | None, count: str) -> None:
        if self.gpu_count and self.gpu_count != int(count):
            self.leave(
                option, words("another option asks for {count}; the larger counts", count=self.gpu_count)
            )
        self.gpu_count = max(self.gpu_count, int(count))
        known = (
            quantities.gpu(self.draft, option.line, option.written, name, "", self.classes) if name else None
        )
        if known:
            self.gpu_names.append(known)

    def constraint(self, option: Option) -> bool:
        """Sites name GPUs so: `a100|h100`. What is more than a list of GPUs is theirs alone."""
        quiet = Draft()
        names = [
            quantities.gpu(quiet, 0, "", one, "", self.classes) for one in re.split(r"[|,]", option.value)
        ]
        found = [name for name in names if name]
        if len(found) < len(names):
            return False
        self.gpu_names += found
        self.gpu_count = max(1, self.gpu_count)
        return True

    def memory(self, option: Option) -> bool:
        size = quantities.size(option.value, "m")
        if size is None:
            return False  # also 0: everything that there is
        self.draft.within("resources")["ram"] = size
        return True

    def later(self, option: Option) -> None:
        self.per[option.name] = option

    def disk(self, option: Option) -> bool:
        size = quantities.size(option.value, "m")
        if size is None:
            return False
        self.draft.within("resources")["disk"] = size
        return True

    def count_cpus(self, option: Option) -> bool:
        self.cpus = _whole(option.value)
        return self.cpus > 0

    def count_tasks(self, option: Option) -> bool:
        self.tasks = max(1, _whole(option.value))
        if self.tasks > 1:
            self.leave(option, ONE_PROCESS)
        return _whole(option.value) > 0

    def nodes(self, option: Option) -> bool:
        return option.value in ("1", "1-1")  # one is what there is

    def time(self, option: Option) -> bool:
        seconds = time_limit(option.value)
        if not seconds:
            return False
        self.draft.keys["max_duration"] = quantities.duration(seconds)
        return True

    def signal(self, option: Option) -> bool:
        match = re.fullmatch(r"(?:[A-Z]+:)?(?:SIG)?([A-Z0-9]+)(?:@([0-9]{1,6}))?", option.value.upper())
        if match is None:
            return False
        self.draft.keys["stop_grace"] = quantities.duration(int(match.group(2) or _SIGNAL_GRACE_S))
        if match.group(1) not in ("TERM", "15"):
            self.leave(
                option,
                words("the polite signal is SIGTERM here, at `max_duration`: let the program save at that"),
            )
        return True

    def requeue(self, option: Option) -> None:
        self.draft.keys["retry"] = {"max_restarts": "1", "on": ["signal", "lost"]}
        self.leave(
            option, words("it is started again on this machine; a new machine is not brought by anyone")
        )

    def array(self, option: Option) -> bool:
        tasks, _, most = option.value.partition("%")
        numbers: list[str] = []
        for part in tasks.split(","):
            match = _RANGE.fullmatch(part.strip())
            if match is None:
                return False
            first, last, step = (int(group) if group else None for group in match.groups())
            span = range(first or 0, (first or 0 if last is None else last) + 1, step or 1)
            if len(span) + len(numbers) > MOST_RUNS:
                self.leave(
                    option,
                    words("a matrix has at most {most} runs: make several arrays of it", most=MOST_RUNS),
                )
                return True
            numbers += map(str, span)
        self.draft.keys["matrix"] = {"env.SLURM_ARRAY_TASK_ID": list(dict.fromkeys(numbers))}
        if most:
            self.draft.within("matrix")["parallel"] = most
        self.facts["array"] = "yes"
        return True

    def chdir(self, option: Option) -> bool:
        if not self.is_folder(option.value):
            self.leave(option, words("there is no such folder here: the job runs where this file is"))
        else:
            self.draft.keys["workdir"] = option.value
        return True

    def export(self, option: Option) -> bool:
        for part in re.findall(r"""(?:[^,"']|"[^"]*"|'[^']*')+""", option.value):
            name, equals, value = part.partition("=")
            if equals and is_secret(name, value):
                add_secret(self.draft, name)
                self.draft.leave(option.line, quantities.cleaned(f"--export {name}"), NOT_COPIED)
            elif equals:
                self.draft.within("env")[name] = value.strip("\"'")
            elif name.upper() in ("NONE", "NIL"):
                self.leave(option, words("the job sees the environment of the shell that starts it"))
        return True


def time_limit(text: str) -> int:
    """Seconds of `90`, `90:00`, `12:00:00`, `1-12`, `1-12:30`, `1-12:30:00`; 0 for no limit."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return 0
    parts = [int(part) for part in match.group("rest").split(":")]
    if match.group("days") is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return int(match.group("days")) * 86400 + hours * 3600 + minutes * 60 + seconds
    if len(parts) == 3:
        return parts[0] * 3600 + parts[1] * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) > 1 else 0)


def _whole(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else 0


def _bytes(text: str) -> int:
    number = int(text[: -len("GiB")])
    return number * (2**30 if text.endswith("GiB") else 2**20)
