"""`srun` in front of a program: its own options, and where the program begins. Pure."""

from __future__ import annotations

import re

# Of srun, which is not sbatch: `--wait` takes a value here, and `-l` is no option there.
_FLAG_NAMES = """
    contiguous debugger-test disable-status exact external hold interactive label launch-cmd no-allocate
    overcommit overlap oversubscribe preserve-env quiet quit-on-interrupt reboot spread-job stepmgr
    test-only unbuffered use-min-nodes verbose whole no-container-mount-home container-mount-home
    container-remap-root no-container-remap-root container-entrypoint no-container-entrypoint
    container-writable container-readonly
"""
_FLAGS = frozenset(_FLAG_NAMES.split())
# Whose value, if there is one, stands in the same word.
_OPTIONAL_NAMES = """
    bcast compress exclusive immediate kill-on-bad-exit nice no-kill
    propagate pty resv-ports send-libs x11
"""
_OPTIONAL = frozenset(_OPTIONAL_NAMES.split())
_VALUE_NAMES = """
    accel-bind account acctg-freq bb bbf bcast-exclude begin chdir cluster-constraint clusters comment
    constraint container container-env container-id container-image container-mounts container-name
    container-save container-workdir core-spec cores-per-socket cpu-bind cpu-freq cpus-per-gpu
    cpus-per-task cpu_bind deadline delay-boot dependency distribution epilog error exclude export extra
    extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags
    het-group hint input job-name jobid licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu
    mem-per-gpu mem_bind mincpus mpi msg-timeout network nodefile nodelist nodes ntasks ntasks-per-core
    ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres open-mode output pack-group partition
    power prefer priority profile prolog qos relative reservation segment signal slurmd-debug
    sockets-per-node switches task-epilog task-prolog thread-spec threads threads-per-core time time-min
    tmp treewidth tres-bind tres-per-task uid wait wckey
"""
_VALUES = frozenset(_VALUE_NAMES.split())
_SHORT_FLAGS = "EHOQXZlsuv"
_SHORT_OPTIONAL = "IKk"
_SHORT_VALUES = "ABCDFGJLMNSTWcdeimnopqrtwx"
_OPTIONS_IN_VARIABLE = re.compile(r"\"?\$\{?\w*(?:SRUN|ARGS|OPTS|OPTIONS|FLAGS)", re.IGNORECASE)
# Words of bash: blanks in quotes do not part them.
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""")


def program_at(text: str) -> int | None:
    """The offset in `text`, what stands behind `srun`, at which the program begins.

    Its length where there is no program; None where an option is none that is known, or the words
    cannot be told apart.
    """
    rest = list(_WORD.finditer(text))
    at = 0
    while at < len(rest) and rest[at].group().startswith("-"):
        word = rest[at].group()
        if word == "--":
            at += 1
            break
        takes = _words_of(word)
        if not takes or "$(" in word or "`" in word:
            return None
        at += takes
        if takes == 2 and (at > len(rest) or re.search(r"\$\(|`", rest[at - 1].group())):
            return None
    if at < len(rest) and _OPTIONS_IN_VARIABLE.match(rest[at].group()):
        return None
    return rest[at].start() if at < len(rest) else len(text)


def _words_of(word: str) -> int:
    """How many words the option is; 0 for one that is not known."""
    if word.startswith("--"):
        name, equals, _ = word[2:].partition("=")
        if equals:
            return 1 if _whole(name, _VALUES | _OPTIONAL) else 0
        found = _whole(name, _FLAGS | _OPTIONAL | _VALUES)
        return 0 if not found else 2 if found in _VALUES else 1
    for at, letter in enumerate(word[1:], 1):
        if letter in _SHORT_FLAGS:
            continue  # `-lu` is two of them
        if letter in _SHORT_OPTIONAL:
            return 1
        if letter in _SHORT_VALUES:
            return 1 if word[at + 1 :] else 2
        return 0
    return 1 if len(word) > 1 else 0


def _whole(name: str, names: frozenset[str]) -> str:
    """The name of which this is the beginning, where only one begins so."""
    if name in names:
        return name
    longer = [one for one in _FLAGS | _OPTIONAL | _VALUES | {"multi-prog"} if one.startswith(name)]
    return longer[0] if len(longer) == 1 and longer[0] in names else ""
