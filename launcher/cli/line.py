"""The command line before typer sees it: where the job's own arguments begin, and `run` left out. Pure."""

from __future__ import annotations

from typing import NamedTuple

_OF_A_JOB = ("run", "exec", "check", "ps", "logs", "attach", "stop", "wait", "history", "save")
_OF_A_RUNTIME = ("probe", "keep", "beat", "watch", "release", "catalog", "rates", "explain", "doctor")
_OF_A_FILE = ("init", "schema")
COMMANDS = (*_OF_A_JOB, *_OF_A_RUNTIME, *_OF_A_FILE)
# With these, `watch` starts none.
ASKS_A_WATCH = ("--status", "--stop", "--why", "--replay")
# May stand anywhere before `--`, as people write them; typer wants them before the command.
FLAGS = ("--no-color",)
WITH_VALUE = ("--lang",)


class CommandLine(NamedTuple):
    """`words` for typer, beginning with the global options; `extra` is what followed the first `--`.

    `lang` is the value of `--lang`, which is needed before typer: its help is in that language.
    """

    command: str
    words: tuple[str, ...]
    extra: tuple[str, ...] | None
    lang: str | None = None


def read_line(argv: list[str], later: frozenset[str]) -> CommandLine:
    """Split at the first `--`, bring global options to the front, and put `run` before a job file."""
    extra: tuple[str, ...] | None = None
    if "--" in argv:
        at = argv.index("--")
        argv, extra = argv[:at], tuple(argv[at + 1 :])
    ours, rest = _take_global(argv)
    lang = _value_of("--lang", ours)
    command = next((word for word in rest if not word.startswith("-")), "")
    if command not in COMMANDS and command not in later:
        if not command and not any(word not in ("--help", "-h") for word in rest):
            return CommandLine("", (*ours, *rest), extra, lang)
        rest = ["run", *rest]
        command = "run"
    elif rest[0] != command:
        # An option before the command belongs to the command: `colab-run --json check job.yaml`.
        rest.remove(command)
        rest = [command, *rest]
    return CommandLine(command, (*ours, *rest), extra, lang)


def starts_a_job(argv: list[str]) -> bool:
    """Will this command line start something, if all goes well? It may turn out not to."""
    ours = argv[: argv.index("--")] if "--" in argv else argv
    if any(word in ("--help", "-h", "--version") for word in ours):
        return False
    _, rest = _take_global(ours)
    words = [word for word in rest if not word.startswith("-")]
    return bool(words) and (words[0] in ("run", "exec") or words[0].endswith((".yaml", ".yml")))


def starts_a_watch(argv: list[str]) -> bool:
    """Will it start a watch, if all goes well?"""
    _, rest = _take_global(argv)
    others = ("--help", "-h", "--version", *ASKS_A_WATCH)
    words = [word for word in rest if not word.startswith("-")]
    return words[:1] == ["watch"] and not any(word.split("=", 1)[0] in others for word in rest)


def _take_global(argv: list[str]) -> tuple[list[str], list[str]]:
    ours: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word in FLAGS or (word.split("=", 1)[0] in WITH_VALUE and "=" in word):
            ours.append(word)
        elif word in WITH_VALUE:
            ours += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            rest.append(word)
    return ours, rest


def _value_of(option: str, words: list[str]) -> str | None:
    """What the option was given; the last time counts."""
    found = None
    for at, word in enumerate(words):
        if word == option and at + 1 < len(words):
            found = words[at + 1]
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found
