"""The lines of a script for sbatch, as bash that needs no Slurm. Pure."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from launcher.converting.quantities import cleaned
from launcher.converting.shell_lines import STOPS, joined, without_modules
from launcher.converting.slurm_options import ONE_PROCESS
from launcher.converting.srun import program_at
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection

    from launcher.converting.model import Draft

GOES_ON = words(
    "there the lines after one that fails still run; here the job ends at it (`set +e` for the old way)"
)
_NO_MODULES = words("there are no modules here: install what it needs in `setup`")
_NO_VARIABLE = words("nothing sets this variable here")
NOT_FOUND = words("there is no Slurm here: this command will not be found")
_NOT_READ = words("what stands behind `srun` cannot be told apart: take `srun` and its options out by hand")
# Wherever they stand: a line too many in the list costs less than one too few.
_COMMANDS = re.compile(r"(?<![\w.$-])(?:srun|sbatch|scancel|squeue|scontrol|sacct|sbcast|salloc)(?![\w.-])")
_MODULE = re.compile(r"(?<![\w.$-])module\s+(?:load|add|use|unload|purge|swap|switch)\b")
_SRUN = re.compile(r"(\s*(?:(?:time|exec|nohup|\w+=\S*)\s+)*)srun(?:\s+(.*)|$)")
_VARIABLE = re.compile(r"\$\{?(SLURM_?[A-Z0-9_]+)")
_BASH = re.compile(r"#!\s*\S*/(?:env\s+)?(?:ba|z|da)?sh\b")


def convert_body(
    draft: Draft, lines: list[tuple[int, str]], facts: dict[str, str], here: Collection[int] = ()
) -> None:
    """Put the lines that are no options of Slurm's under `run`; those in `here` are text for a command."""
    if lines and lines[0][1].startswith("#!"):
        (number, shebang), *lines = lines
        if not _BASH.match(shebang):
            return _other_language(draft, shebang, lines)
    lines = list(joined(lines, here))
    kept = [line if number in here else _converted(draft, number, line) for number, line in lines]
    text = "\n".join(line.rstrip() for line in kept).strip("\n")
    needed = _variables(draft, lines, facts)
    commands = [line for line in kept if line.strip() and not line.lstrip().startswith("#")]
    if len(commands) > 1 and not STOPS.search(text):
        number = next(number for number, line in lines if line.strip() and not line.lstrip().startswith("#"))
        draft.leave(number, cleaned(commands[0].strip()), GOES_ON)
    draft.keys["run"] = "\n".join([*needed, text]) if commands else ""
    if needed:
        draft.remark("run", words("The first lines stand for variables that Slurm would set."))
    return None


def _converted(draft: Draft, number: int, line: str) -> str:
    if line.lstrip().startswith("#"):
        return line
    removed, line = without_modules(line)
    for command in removed:
        draft.leave(number, cleaned(command), _NO_MODULES)
    if line.lstrip().startswith("#") or re.match(r"\s+true  # ", line):
        return line
    srun = _SRUN.match(line)
    if srun is not None:
        line = _without_srun(draft, number, line, srun)
    elif _COMMANDS.search(line):
        draft.leave(number, cleaned(line.strip()), NOT_FOUND)
    if _MODULE.search(line):
        draft.leave(number, cleaned(line.strip()), _NO_MODULES)
    return line


def _without_srun(draft: Draft, number: int, line: str, match: re.Match[str]) -> str:
    """`srun --ntasks=1 python train.py` as `python train.py`; the rest of the line stays as it was."""
    before, rest = match.group(1), match.group(2) or ""
    at = program_at(rest)
    if at is None:
        draft.leave(number, cleaned(line.strip()), _NOT_READ)
        return line
    draft.leave(number, cleaned(f"srun {rest[:at]}".strip()), ONE_PROCESS)
    if at == len(rest):
        return f"# {line.strip()}"
    if _COMMANDS.search(rest[at:]):
        draft.leave(number, cleaned(rest[at:].strip()), NOT_FOUND)
    return before + rest[at:]


def _variables(draft: Draft, lines: list[tuple[int, str]], facts: dict[str, str]) -> list[str]:
    """Lines that set what the script reads; the variables that nothing sets are noted."""
    text = "\n".join(line for _, line in lines)
    known = {
        "SLURM_JOB_ID": '"$COLAB_RUN_ID"',
        "SLURM_JOBID": '"$COLAB_RUN_ID"',
        "SLURM_ARRAY_JOB_ID": '"$COLAB_RUN_ID"',
        "SLURM_JOB_NAME": shlex.quote(facts.get("name", "job")),
        "SLURM_SUBMIT_DIR": '"$PWD"',
        "SLURM_RESTART_COUNT": '"$((COLAB_RUN_ATTEMPT - 1))"',
        "SLURM_TMPDIR": '"${TMPDIR:-/tmp}"',
        "SLURM_CPUS_PER_TASK": facts["cpus"],
        "SLURM_CPUS_ON_NODE": '"$(nproc)"',
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_NODELIST": "localhost",
        "SLURMD_NODENAME": "localhost",
        **dict.fromkeys(("SLURM_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_NODE"), facts["gpus"]),
        **dict.fromkeys(("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"), "1"),
        **dict.fromkeys(("SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"), "1"),
        **dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0"),
    }
    needed = []
    for name in dict.fromkeys(_VARIABLE.findall(text)):
        if name == "SLURM_ARRAY_TASK_ID" and "array" in facts:
            continue
        if name in known:
            needed.append(f"export {name}={known[name]}")
        else:
            line = next(number for number, one in lines if name in one)
            draft.leave(line, f"${name}", _NO_VARIABLE)
    return needed


def _other_language(draft: Draft, shebang: str, lines: list[tuple[int, str]]) -> None:
    """A script for another interpreter is handed to it as it is."""
    command = shebang[2:].strip()
    interpreter = re.sub(r"^\S*/env\s+(?:-S\s+)?", "", command)
    end = "END_OF_SCRIPT"
    body = "\n".join(line for _, line in lines).strip("\n")
    for name in dict.fromkeys(re.findall(r"\bSLURM_[A-Z0-9_]+", body)):
        draft.leave(next(number for number, one in lines if name in one), f"${name}", _NO_VARIABLE)
    draft.keys["run"] = f"{interpreter} - <<'{end}'\n{body}\n{end}" if body.strip() else ""
