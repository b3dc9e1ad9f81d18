"""The options of sbatch: their names, whether a value follows, and why one has no equivalent. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from launcher.words import words

if TYPE_CHECKING:
    from launcher.words import Text

_LETTERS = """
    A account  a array  B extra-node-info  b begin  C constraint  c cpus-per-task  D chdir  d dependency
    e error  F nodefile  G gpus  H hold  h help  I immediate  i input  J job-name  k no-kill  L licenses
    M clusters  m distribution  N nodes  n ntasks  o output  O overcommit  p partition  Q quiet  q qos
    S core-spec  s oversubscribe  t time  u usage  v verbose  V version  W wait  w nodelist  x exclude
"""
_NAMES = _LETTERS.split()
SHORT = dict(zip(_NAMES[::2], _NAMES[1::2], strict=True))
_FLAGS = """
    contiguous exclusive help hold ignore-pbs immediate no-kill no-requeue overcommit oversubscribe parsable
    quiet reboot requeue spread-job stepmgr test-only usage use-min-nodes verbose version wait get-user-env
    kill-on-invalid-dep propagate nvmps resv-ports
"""
FLAGS = frozenset(_FLAGS.split())
NO_CLUSTER = words("there is no cluster and no queue here: the machine is the one that this runs on")
NO_NODES = words("a job file describes one machine, the one that it runs on")
ONE_PROCESS = words("one process is started; start more of them in `run`, as with `torchrun`")
NO_MAIL = words("no mail is sent: `colab-run wait` ends when the run does, with its exit code")
LOG = words("all output is in the run's log: `colab-run logs`; it is saved beside the first of `outputs`")
PLACEMENT = words("there is nothing to place: the job has the whole machine")
NONE = words("there is no such thing here")


def _each(names: str, why: Text) -> dict[str, Text]:
    return dict.fromkeys(names.split(), why)


_AS_IT_IS = words("the job runs in the machine as it is; install what it needs in `setup`")
_AS_USER = words("the job runs as the user who starts it")
WHY: dict[str, Text] = {
    **_each(
        "partition account qos reservation clusters cluster-constraint licenses dependency begin", NO_CLUSTER
    ),
    **_each(
        "deadline hold nice priority wckey bb bbf comment admin-comment exclude nodelist nodefile", NO_CLUSTER
    ),
    **_each("immediate delay-boot constraint prefer kill-on-invalid-dep time-min test-only wait", NO_CLUSTER),
    **_each("parsable mcs-label reboot stepmgr", NO_CLUSTER),
    **_each("nodes ntasks-per-node switches no-kill spread-job use-min-nodes contiguous", NO_NODES),
    **_each("ntasks tasks-per-node ntasks-per-gpu ntasks-per-core ntasks-per-socket overcommit", ONE_PROCESS),
    **_each("mail-type mail-user", NO_MAIL),
    **_each("output error open-mode quiet verbose", LOG),
    **_each("exclusive oversubscribe cpu-freq cpus-per-gpu extra-node-info distribution hint", PLACEMENT),
    **_each("mem-bind sockets-per-node cores-per-socket threads-per-core core-spec thread-spec", PLACEMENT),
    **_each("gpu-bind gpu-freq tres-bind tres-per-task gres-flags cpu-bind mincpus", PLACEMENT),
    **_each("container container-image", _AS_IT_IS),
    **_each("uid gid", _AS_USER),
    "export-file": words("write the variables under `env`"),
    "input": words("redirect it in `run`: `python train.py < file`"),
    "no-requeue": words("nothing is started again unless `retry` says so"),
    "get-user-env": words("the job sees the environment of the shell that starts it"),
    "propagate": words("the job has the limits of the shell that starts it"),
    "time": words("no limit is what a job has without `max_duration`"),
    "mem": words("the size is not understood; all that the machine has is there"),
}


class Option(NamedTuple):
    """One option: its long name, its value, and where and how it was written."""

    line: int
    name: str
    value: str
    written: str


def split_line(text: str) -> list[str]:
    """The words behind `#SBATCH`, without what Slurm takes for a comment."""
    text = re.sub(r"(?:^|\s)#.*$", "", text)
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def read_options(typed: list[str], line: int, known: frozenset[str]) -> tuple[list[Option], list[str]]:
    """The options at the start of `typed`, and the words behind them; `known`: more names."""
    found: list[Option] = []
    rest = list(typed)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = _whole(name, known)
        else:
            name, equals, value = SHORT.get(word[1], word[1]), "", word[2:].removeprefix("=")
        written = word
        if not equals and not value and name not in FLAGS and rest and not rest[0].startswith("-"):
            value = rest.pop(0)
            written = f"{word} {value}"
        found.append(Option(line, name, value, written))
    return found, rest


def _whole(name: str, known: frozenset[str]) -> str:
    """Slurm takes the beginning of a name for the name, where only one begins so."""
    names = known | FLAGS | set(WHY) | set(SHORT.values())
    if name in names:
        return name
    longer = [one for one in names if one.startswith(name)]
    return longer[0] if len(longer) == 1 else name
