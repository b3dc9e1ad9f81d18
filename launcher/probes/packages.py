"""What is installed in the Python that a job would use: from metadata alone, nothing is imported.

That Python is asked itself, isolated (`-I`), so that no file of the user's folder is run. A fresh interpreter
takes some 20 ms; importlib.metadata would double that, and the names of the folders say the same.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.probes.model import PythonFacts
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.values import Reading

DEADLINE_S = 5.0
# The file in which a package says how it was built, beside its metadata.
BUILDS = {
    "torch": "torch/version.py",
    "tensorflow": "tensorflow/python/platform/build_info.py",
    "tensorflow-cpu": "tensorflow/python/platform/build_info.py",
}
_ASK = r"""
import os, site, sys
wanted, builds = set(eval(sys.argv[1])), eval(sys.argv[2])
def normal(name):
    for mark in "_.":
        name = name.replace(mark, "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name.lower()
def version_in(path):
    for name in ("METADATA", "PKG-INFO", ""):
        try:
            with open(os.path.join(path, name) if name else path, encoding="utf-8", errors="replace") as file:
                for line in file.read(4096).splitlines():
                    if line.startswith("Version:"):
                        return line[8:].strip()
        except OSError:
            pass
    return ""
# What -I leaves out and the job would have.
folders = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
if sys.prefix == sys.base_prefix and not os.environ.get("PYTHONNOUSERSITE"):
    folders.append(site.getusersitepackages())
found, said = {}, {}
for folder in folders + sys.path:
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        continue
    for entry in entries:
        stem, dot, kind = entry.rpartition(".")
        if kind not in ("dist-info", "egg-info"):
            continue
        name, dash, rest = stem.partition("-")
        name = normal(name)
        if name not in wanted or name in found:
            continue
        version = rest.split("-py")[0].split("-")[0] or version_in(os.path.join(folder, entry))
        found[name] = version.replace("_", "+")
        if name in builds:
            try:
                with open(os.path.join(folder, builds[name]), encoding="utf-8", errors="replace") as file:
                    said[name] = file.read(8192)
            except OSError:
                pass
print(ascii((sys.executable, ".".join(map(str, sys.version_info[:3])), found, said)))
"""
_PARTS = re.compile(r"&&|\|\||[;|&\n]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=\S*")
# Run what follows them, in the same environment.
_PREFIXES = {"exec", "nohup", "time", "env", "command", "nice", "ionice", "setsid", "then", "do", "else", "!"}
# Run what follows their own options and figures, in the same environment.
_WRAPPERS = {"timeout", "stdbuf", "taskset", "chrt", "numactl", "xvfb-run"}
# Run it elsewhere, or as somebody else, or read it anew: nobody can tell what they make of it.
_SHELLS = {"bash", "sh", "dash", "zsh", "eval", "xargs", "sudo", "srun", "mpirun", "mpiexec", "ssh", "docker"}
# Choose a Python of their own.
_RUNNERS = {"uv", "uvx", "conda", "mamba", "micromamba", "poetry", "pipenv", "pixi", "rye", "hatch", "pdm"}
_PYTHON = re.compile(r"python[0-9.]*")


class Choice(NamedTuple):
    """The Python that a job would use, None where there is none; `sure`: that follows from its command."""

    executable: str | None
    sure: bool = True


def python_of(words: Sequence[str], script: str, environ: Mapping[str, str], workdir: str) -> Choice:
    """The Python of a job with this command, or this `script`: the first that is started; else by PATH.

    An environment that the script activates by its path counts, and so does the one that a program lies in.
    """
    commands = [list(words)] if words else [part.split() for part in _PARTS.split(script)]
    folder: str | None = workdir
    for command in commands:
        if any(word.startswith("PATH=") for word in command):
            return _guess(environ)
        name = _program(command)
        if name == "cd":
            folder = _folder(command[-1], folder)
        elif name is not None and (choice := _choice(command, name, environ, folder)) is not None:
            return choice
    return Choice(_by_path(environ))


def _choice(command: list[str], name: str, environ: Mapping[str, str], folder: str | None) -> Choice | None:
    """What a simple command that starts `name` says about the Python; None where it says nothing."""
    if name.startswith("-") or name in _WRAPPERS or name in _SHELLS:
        inner = next((word for word in _stripped(command) if _is_python(word)), None)
        if inner is None:
            return None
        return _guess(environ) if name in _SHELLS else _by_name(inner, environ, folder)
    if any(letter in name for letter in "$`\"'(") or os.path.basename(name) in _RUNNERS:
        return _guess(environ)
    if name in ("source", ".") and command[-1].strip("\"'").endswith("/bin/activate"):
        if "$" in command[-1]:
            return _guess(environ)
        return _by_name(os.path.join(os.path.dirname(command[-1].strip("\"'")), "python"), environ, folder)
    if _is_python(name):
        return _by_name(name, environ, folder)
    program = _by_name(name, environ, folder).executable
    found = _interpreter(program) if program is not None else ""
    return Choice(shutil.which(found)) if found else None


def _by_name(name: str, environ: Mapping[str, str], folder: str | None) -> Choice:
    if "/" not in name:
        return Choice(shutil.which(name, path=environ.get("PATH")))
    path = os.path.expanduser(name)
    if folder is None and not os.path.isabs(path):
        return _guess(environ)
    return Choice(shutil.which(os.path.normpath(os.path.join(folder or "/", path))))


def _guess(environ: Mapping[str, str]) -> Choice:
    return Choice(_by_path(environ), sure=False)


def _folder(word: str, folder: str | None) -> str | None:
    """Where `cd WORD` leads from `folder`; None where nobody can tell."""
    path = os.path.expanduser("~" if word == "cd" else word.strip("\"'"))
    if path == "-" or any(letter in path for letter in "$`*?("):
        return None
    if os.path.isabs(path):
        return path
    return None if folder is None else os.path.normpath(os.path.join(folder, path))


def _is_python(word: str) -> bool:
    return _PYTHON.fullmatch(os.path.basename(word)) is not None


def _stripped(command: list[str]) -> list[str]:
    return [word.strip("\"'()") for word in " ".join(command).split()]


def _interpreter(program: str) -> str:
    """The Python that a script such as `torchrun` names in its first line; empty for any other program."""
    try:
        with open(program, "rb") as file:
            first = file.readline(256).decode("utf-8", "replace")
    except OSError:
        return ""
    named = first[2:].split()[:1] if first.startswith("#!") else []
    return named[0] if named and _PYTHON.fullmatch(os.path.basename(named[0])) else ""


def _by_path(environ: Mapping[str, str]) -> str | None:
    path = environ.get("PATH")
    return shutil.which("python", path=path) or shutil.which("python3", path=path)


def _program(command: list[str]) -> str | None:
    """What a simple command starts, without assignments and what only runs something else."""
    for word in command:
        if word not in _PREFIXES and _ASSIGNMENT.fullmatch(word) is None:
            return None if word.startswith("#") else word
    return None


def ask_python(executable: str, names: Sequence[str], environ: Mapping[str, str]) -> list[Any]:
    """The answer of that Python as JSON has it, for `facts_of`. Meant for a child, whose end is its end too.

    Raises OSError, ValueError and subprocess.SubprocessError.
    """
    done = subprocess.run(
        [executable, "-I", "-c", _ASK, ascii(list(names)), ascii(BUILDS)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=dict(environ),
        cwd="/",
        check=True,
    )
    said = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return list(ast.literal_eval(said))


def facts_of(answer: Reading[Any], names: Sequence[str]) -> Reading[PythonFacts]:
    """What the child brought back, typed."""
    if isinstance(answer, Unknown):
        return Unknown("python-timeout" if answer.reason == "timeout" else "python-failed")
    executable, version, found, builds = answer.value
    return Known(PythonFacts(executable, version, {name: found.get(name) for name in names}, builds))
