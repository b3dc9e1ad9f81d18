"""`--help` and usage errors in the user's language; Chinese characters take two columns.

Of typer only what its classes have had for years is used: `help`, `params`, and a formatter's four
`write_…` methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import UsageError
from launcher.report.lines import WIDTH, columns, folded, padded
from launcher.words import message, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.words import Text, Translate

# What typer itself says.
_THEIRS = (
    message("Usage:"),
    message("Options:"),
    message("Arguments:"),
    message("Commands:"),
    message("Show this message and exit."),
    message("[required]"),
    message("[OPTIONS]"),
    message("COMMAND [ARGS]..."),
)
# The column of explanations begins at most here.
_WIDEST_OPTION = 30


def localise(command: Any, translate: Translate) -> None:
    """Put the help of a command, its options and its commands into a language."""
    _in_language(command, translate)
    for inner in getattr(command, "commands", {}).values():
        _in_language(inner, translate)


def _in_language(command: Any, translate: Translate) -> None:
    command.help = _translated(command.help, translate)
    first = (command.help or "").split("\n\n")[0]
    command.short_help = " ".join(first.split())
    command.options_metavar = translate("[OPTIONS]", None, 1)
    if hasattr(command, "subcommand_metavar"):
        command.subcommand_metavar = translate("COMMAND [ARGS]...", None, 1)
    for parameter in command.params:
        parameter.help = _translated(getattr(parameter, "help", None), translate)
    base = command.context_class
    formatter = _formatter(base.formatter_class, translate)
    command.context_class = type("Context", (base,), {"formatter_class": formatter})


def _translated(text: str | None, translate: Translate) -> str | None:
    return translate(text, None, 1) if text else text


def _formatter(base: type[Any], translate: Translate) -> type[Any]:
    """Typer's formatter with headings in the language, and with widths that are right for it."""

    def say(text: str) -> str:
        return translate(text, None, 1) if text in _THEIRS else text

    class Formatter(base):  # type: ignore[misc]
        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            self.write(f"{say('Usage:')}{prog} {args}\n")

        def write_heading(self, heading: str) -> None:
            self.write(f"{'':>{self.current_indent}}{say(f'{heading}:')}\n")

        def write_text(self, text: str) -> None:
            indent = " " * self.current_indent
            for number, paragraph in enumerate(text.split("\n\n")):
                self.write("\n" if number else "")
                self.write("".join(f"{line}\n" for line in folded(paragraph, WIDTH, indent)))

        def write_dl(
            self, rows: Sequence[tuple[str, str]], col_max: int = _WIDEST_OPTION, col_spacing: int = 2
        ) -> None:
            indent = " " * self.current_indent
            wide = min(col_max, max((columns(first) for first, _ in rows), default=0)) + col_spacing
            hanging = indent + " " * wide
            for first, text in rows:
                told = _required(say(text), say)
                lines = folded(told, WIDTH, hanging) or [hanging]
                if columns(first) + col_spacing > wide:
                    self.write(f"{indent}{first}\n{lines[0]}\n")
                else:
                    self.write(f"{indent}{padded(first, wide)}{lines[0].lstrip()}".rstrip() + "\n")
                self.write("".join(f"{line}\n" for line in lines[1:]))

    return Formatter


def _required(text: str, say: Any) -> str:
    return text.replace("[required]", say("[required]"))


# --- usage errors ---------------------------------------------------------------------------------


def usage_error(error: Exception, command: str) -> UsageError:
    """What typer found wrong, in our words; its classes move between versions, their names do not."""
    kind = type(error).__name__
    hint = words("{command} shows what there is", command=f"colab-run {command} --help".replace("  ", " "))
    option = getattr(error, "option_name", "")
    if kind == "NoSuchOption":
        near = getattr(error, "possibilities", None)
        instead: Text = words("use {path}", path=sorted(near)[0]) if near else hint
        return UsageError(words("there is no option {option}", option=option), instead)
    if kind == "BadOptionUsage":
        return UsageError(words("{option} is not used as it should be", option=option), hint)
    parameter = getattr(error, "param", None)
    name = _name_of(parameter) or getattr(error, "param_hint", None) or ""
    if kind == "MissingParameter":
        return UsageError(words("{name} is missing", name=name), hint)
    why = str(getattr(error, "message", "") or error)
    if name:
        return UsageError(words("{name} does not take this value: {why}", name=name, why=why), hint)
    return UsageError(words("the command line cannot be understood: {why}", why=why), hint)


def _name_of(parameter: Any) -> str:
    """`--gpu`, or `JOB`."""
    if parameter is None:
        return ""
    options = [str(word) for word in getattr(parameter, "opts", ()) if str(word).startswith("-")]
    return options[0] if options else str(getattr(parameter, "metavar", None) or parameter.name or "")
