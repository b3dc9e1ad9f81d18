"""What a Python program says of its options, results and framework; it is read, and never run. Pure."""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Frameworks that train on GPUs; the first one that is imported names it.
FRAMEWORKS = (
    *("torch", "tensorflow", "jax", "keras", "lightning", "pytorch_lightning", "transformers", "diffusers"),
    *("accelerate", "flax", "vllm", "unsloth", "trl", "ultralytics", "cupy", "numba.cuda", "cudf", "cuml"),
)
# What runs on nothing older than Ampere.
_AMPERE = re.compile(r"bfloat16|bf16|flash_attn|flash_attention_2|\bvllm\b")
_OUT_OPTION = re.compile(
    r"--(?:out|output|save|checkpoint|ckpt|result|results|log|model)s?(?:[-_](?:dir|path|folder|root|file))?|--(?:logdir|outdir|savedir)"
)
_OUT_KEYWORDS = (
    "output_dir",
    "default_root_dir",
    "dirpath",
    "save_dir",
    "checkpoint_dir",
    "logging_dir",
    "log_dir",
)
_SAVERS = (
    "save",
    "save_pretrained",
    "save_model",
    "save_weights",
    "dump",
    "makedirs",
    "mkdir",
    "to_csv",
    "savefig",
)
_OUT_NAMES = re.compile(r"out|result|checkpoint|ckpt|save|model|log|run|weight|artifact", re.IGNORECASE)
_TEMPORARY = ("/tmp", "/dev", "/proc", "/var")  # noqa: S108 - nothing is written there


@dataclass(frozen=True, slots=True)
class ProgramOption:
    """`--epochs`, with its default as it is written; `required`: the program ends without it."""

    name: str
    default: str = ""
    required: bool = False


@dataclass(slots=True)
class Program:
    """One program. `outputs` are paths that it writes to, the likeliest first."""

    has_main: bool = False
    framework: str = ""
    ampere: bool = False
    options: list[ProgramOption] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read_program(text: str, late: Callable[[], bool] = lambda: False) -> Program | None:
    """What there is to see, or None for what is no Python, or is nested deeper than anybody writes.

    Raises TimeoutError soon after `late` says so.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about somebody's escapes: that is not asked here
            return _Look(ast.parse(text), text, late).program
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Look:
    """One walk over a program."""

    def __init__(self, tree: ast.Module, text: str, late: Callable[[], bool]) -> None:
        self.program = Program(ampere=bool(_AMPERE.search(text)))
        self.constants = {
            target.id: path
            for node in tree.body
            if isinstance(node, ast.Assign) and (path := _literal_path(node.value, {}))
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.from_options: list[str] = []
        self.from_calls: list[str] = []
        imported = []
        nodes = list(_in_time(ast.walk(tree), late))
        typers = _functions_of_typer(nodes, late)
        for node in _in_time(nodes, late):
            if isinstance(node, ast.If) and _is_main_guard(node.test):
                self.program.has_main = True
            elif isinstance(node, ast.Import):
                imported += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.append(node.module)
            elif isinstance(node, ast.Call):
                self.call(node)
            elif isinstance(node, ast.FunctionDef) and node.name in typers:
                self.program.options += _parameters(node)
        tops = {name.partition(".")[0] for name in imported} | set(imported)
        self.program.framework = next((name for name in FRAMEWORKS if name in tops), "")
        for option in self.program.options:
            if _OUT_OPTION.fullmatch(option.name) and option.default:
                self.from_options.append(option.default)
        folders = [path for path in map(_kept, [*self.from_options, *self.from_calls]) if path]
        self.program.outputs = list(dict.fromkeys(folders))

    def call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("add_argument", "option"):
            self.argument(node)
        for keyword in node.keywords:
            if keyword.arg in _OUT_KEYWORDS:
                self.found(keyword.value)
        if name in _SAVERS:
            for one in node.args:
                self.found(one)
            if name == "mkdir" and isinstance(node.func, ast.Attribute):
                self.found(node.func.value)

    def argument(self, node: ast.Call) -> None:
        """`add_argument("--epochs", default=3)`, `@click.option("--epochs", default=3)`."""
        names = [
            one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        long = next((name for name in names if name.startswith("--")), names[0] if names else "")
        if not long:
            return
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        required = given.get("required")
        default = given.get("default")
        self.program.options.append(
            ProgramOption(
                long,
                _shown_default(default, self.constants) if default is not None else "",
                (isinstance(required, ast.Constant) and required.value is True)
                or (not long.startswith("-") and default is None and "nargs" not in given),
            )
        )

    def found(self, node: ast.expr) -> None:
        path = _literal_path(node, self.constants)
        if path and ("/" in path or "." in path or _OUT_NAMES.search(path)):
            self.from_calls.append(path)


def _kept(path: str) -> str:
    """The folder, or the file alone, that holds what is at `path`; nothing for what need not be kept."""
    if path.startswith(_TEMPORARY) or "drive/MyDrive" in path or re.search(r"[\s*?:$\\\0]", path):
        return ""
    clean = posixpath.normpath(path)
    if clean.startswith(("/", "~", "..")) or clean == ".":
        return ""
    first, slash, _ = clean.partition("/")
    return first + "/" if slash or path.endswith("/") or "." not in first else first


def _literal_path(node: ast.expr, constants: dict[str, str]) -> str:
    """The path that an expression certainly begins with."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) and len(node.value) < 200 else ""
    if isinstance(node, ast.Name):
        return constants.get(node.id, "")
    if isinstance(node, ast.JoinedStr) and node.values:
        first = node.values[0]
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
        return text.rpartition("/")[0] + "/" if "/" in text else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
        left = _literal_path(node.left, constants)
        return f"{left.rstrip('/')}/" if left else ""
    if isinstance(node, ast.Call) and node.args:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("Path", "PurePath", "PosixPath", "str", "abspath", "expanduser"):
            return _literal_path(node.args[0], constants)
        if name == "join":
            first_part = _literal_path(node.args[0], constants)
            return f"{first_part.rstrip('/')}/" if first_part else ""
    return ""


def _shown_default(node: ast.expr, constants: dict[str, str]) -> str:
    path = _literal_path(node, constants)
    if path:
        return path
    text = ast.unparse(node)
    return text if len(text) <= 30 and text not in ("None", "...", "[]", "()", "False") else ""


def _is_main_guard(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare) and "__name__" in (names := ast.unparse(test)) and "__main__" in names
    )


def _functions_of_typer(nodes: Sequence[ast.AST], late: Callable[[], bool]) -> frozenset[str]:
    """Functions whose parameters are options: `typer.run(main)`, `@app.command()`, `fire.Fire(main)`."""
    return frozenset(_named_by_calls(nodes, late)) | frozenset(
        node.name
        for node in _in_time(nodes, late)
        if isinstance(node, ast.FunctionDef)
        and any(_is_command(decorator) for decorator in node.decorator_list)
        and not any("option" in ast.unparse(decorator) for decorator in node.decorator_list)
    )


def _named_by_calls(nodes: Sequence[ast.AST], late: Callable[[], bool]) -> Iterator[str]:
    for node in _in_time(nodes, late):
        if isinstance(node, ast.Call) and _dotted(node.func) in ("typer.run", "fire.Fire", "Fire"):
            yield from (one.id for one in node.args[:1] if isinstance(one, ast.Name))


def _dotted(node: ast.expr) -> str:
    """`a` or `a.b`, of which a call is made; a long chain of calls costs no more than a short one."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _in_time(nodes: Iterable[ast.AST], late: Callable[[], bool]) -> Iterator[ast.AST]:
    for node in nodes:
        if late():
            raise TimeoutError
        yield node


def _is_command(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "command"
        and "click" not in ast.unparse(function)
    )


def _parameters(function: ast.FunctionDef) -> list[ProgramOption]:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    pairs = [*zip(plain, [*defaults, *arguments.defaults], strict=True)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    found = []
    for argument, default in pairs:
        value = default
        if isinstance(value, ast.Call):  # typer.Option(3, …)
            value = value.args[0] if value.args else None
        shown = _shown_default(value, {}) if value is not None else ""
        name = "--" + argument.arg.replace("_", "-")
        found.append(ProgramOption(name, shown, default is None))
    return found
