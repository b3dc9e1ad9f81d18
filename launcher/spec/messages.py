"""The words for every problem of a job file, in one table: id → code, message, hint.

`{…}` are filled in by the place that found the problem. A message says what was found, a hint is an
instruction. A translation replaces this table and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

from launcher.spec.problems import ProblemCode as Code
from launcher.values import BadValue


class Wording(NamedTuple):
    """One kind of problem."""

    code: Code
    message: str
    hint: str = ""


WORDINGS: dict[str, Wording] = {
    # The text as a whole
    "too-large": Wording(
        Code.TOO_LARGE, "{size} bytes, and a job file has at most {most}", "move data out of it"
    ),
    "not-utf8": Wording(
        Code.NOT_UTF8, "not UTF-8: byte 0x{byte} at offset {offset}", "save the file as UTF-8"
    ),
    "control": Wording(Code.CONTROL_CHARACTER, "an invisible control character, {name}", "remove it"),
    "empty-file": Wording(Code.EMPTY, "there is no job in here", "write at least `run: python train.py`"),
    "second-document": Wording(
        Code.SECOND_DOCUMENT, "a second document begins here", "keep one job in a file, and run several files"
    ),
    "too-deep": Wording(Code.TOO_DEEP, "nested more than {most} levels deep", "write it flatter"),
    # Syntax
    "tab": Wording(Code.TAB, "a tab where YAML wants spaces", "use spaces"),
    "full-width": Wording(Code.FULL_WIDTH, "`{found}` is {kind}", "write `{ascii}`"),
    "second-colon": Wording(
        Code.SYNTAX,
        "a `: ` that cannot stand here",
        "put the text in quotes, or `|` and the text on lines of its own",
    ),
    "open-quote": Wording(Code.SYNTAX, "the quote `{found}` is never closed", "close it with `{found}`"),
    "open-bracket": Wording(
        Code.SYNTAX,
        "what follows this `{found}` is not a list or mapping",
        "separate with `,` and close with `{closing}`",
    ),
    "question-mark": Wording(
        Code.SYNTAX, "a `?` between brackets and outside quotes", "put the text in quotes"
    ),
    "stray-bracket": Wording(Code.SYNTAX, "`{found}` closes nothing", "remove it, or put the text in quotes"),
    "first-character": Wording(Code.SYNTAX, "no text can begin with {found}", "put the text in quotes"),
    "escape": Wording(
        Code.SYNTAX,
        "`{found}` is no escape of a double-quoted text",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    "block-header": Wording(
        Code.SYNTAX, "a text behind `{found}`", "begin the text on the next line, indented"
    ),
    "colon-space": Wording(Code.SYNTAX, "no space behind this colon", "write `key: value`"),
    "no-colon": Wording(Code.SYNTAX, "this line is not `key: value`", "write a key, a colon and a space"),
    "indentation": Wording(
        Code.SYNTAX, "the indentation fits no line above", "align it with the keys that it belongs to"
    ),
    "syntax": Wording(
        Code.SYNTAX, "this cannot be read as YAML", "check quotes, brackets and indentation here"
    ),
    # What YAML can do and a job file cannot
    "anchor": Wording(Code.ANCHOR, "the anchor `&{name}`", "write the value out where it is needed"),
    "alias": Wording(Code.ALIAS, "the alias `*{name}`", "write the value out, or put the text in quotes"),
    "merge": Wording(Code.MERGE_KEY, "the merge key `<<`", "write the keys out"),
    "tag": Wording(Code.TAG, "the tag `{name}`", "remove it, or put the text in quotes"),
    # Keys
    "unknown-key": Wording(Code.UNKNOWN_KEY, "no such key", "use one of: {known}"),
    "unknown-key-near": Wording(Code.UNKNOWN_KEY, "no such key", "use `{near}`"),
    "unknown-key-elsewhere": Wording(Code.UNKNOWN_KEY, "not a key of {here}", "write it {there}"),
    "set-key": Wording(Code.UNKNOWN_KEY, "not a dotted key", "write it as in `--set resources.gpu=L4`"),
    "duplicate": Wording(Code.DUPLICATE_KEY, "`{name}` stands on line {line} already", "keep one of the two"),
    "duplicate-secret": Wording(Code.DUPLICATE_KEY, "`{name}` is in the list already", "name it once"),
    "missing": Wording(Code.MISSING_KEY, "a required key is missing", "write `{name}: {example}`"),
    "empty": Wording(Code.MISSING_KEY, "no value", "{hint}"),
    "foreign": Wording(Code.FOREIGN_KEY, "a key of another tool that means nothing here", "{hint}"),
    "conflict": Wording(
        Code.CONFLICTING_KEYS, "says the same as `{other}` on line {line}", "keep one of the two"
    ),
    "conflict-instead": Wording(Code.CONFLICTING_KEYS, "`{other}` is given too", "keep one of the two"),
    "conflict-secret": Wording(
        Code.CONFLICTING_KEYS,
        "`{name}` is in `env` too",
        "keep it in `secrets`, and its value out of the file",
    ),
    "conflict-output": Wording(
        Code.CONFLICTING_KEYS,
        "would replace the output on line {line}: both become `{target}`",
        "use another `to`",
    ),
    "later": Wording(Code.NOT_AVAILABLE_YET, "not available yet", "remove it"),
    "later-value": Wording(Code.NOT_AVAILABLE_YET, "`{found}` is not available yet", "use {instead}"),
    "later-alias": Wording(
        Code.NOT_AVAILABLE_YET, "read as `{meaning}`, which is not available yet", "remove it"
    ),
    "key-not-text": Wording(Code.KEY_NOT_TEXT, "a key that is not a plain text", "write `key: value`"),
    # Values
    "want-mapping": Wording(Code.WRONG_KIND, "{found} where keys with values are wanted", "{hint}"),
    "want-list": Wording(Code.WRONG_KIND, "{found} where a list is wanted", "{hint}"),
    "want-text": Wording(Code.WRONG_KIND, "{found} where one value is wanted", "{hint}"),
    "not-a-mapping": Wording(Code.WRONG_KIND, "`{name}` is not a mapping", "set the whole of `{name}`"),
    "not-size": Wording(
        Code.WRONG_KIND, "`{found}` is not a size", "write a number and a unit, such as `50GB`"
    ),
    "not-duration": Wording(
        Code.WRONG_KIND,
        "`{found}` is not a duration",
        "write a number and a unit, such as `30s`, `20m` or `6h`",
    ),
    "not-number": Wording(Code.WRONG_KIND, "`{found}` is not a number", "write it as in `{example}`"),
    "not-integer": Wording(
        Code.WRONG_KIND, "`{found}` is not a whole number", "write digits, as in `{example}`"
    ),
    "not-flag": Wording(Code.WRONG_KIND, "`{found}` is neither true nor false", "write `true` or `false`"),
    "not-capability": Wording(
        Code.WRONG_KIND, "`{found}` is not a compute capability", "write major and minor, such as `8.0`"
    ),
    "not-tpu": Wording(Code.WRONG_KIND, "`{found}` is not a TPU type", "write it as in `v5e-1`"),
    "gpu-alone": Wording(Code.WRONG_KIND, "`{found}` stands alone, not in a list", "write `gpu: {found}`"),
    "gpu-no-count": Wording(Code.WRONG_KIND, "`none` has no count", "write `none`"),
    "gpu-not-exact": Wording(Code.WRONG_KIND, "`=` goes before a class", "write `{hint}`"),
    "gpu-as-number": Wording(
        Code.WRONG_KIND, "`{found}` names no class", "write `any:{found}` or a class such as `A100:{found}`"
    ),
    "gpu-as-size": Wording(Code.WRONG_KIND, "`{found}` names no class", "write `{{memory: {found}}}`"),
    "gpu-size-as-count": Wording(Code.WRONG_KIND, "`{found}` is not a count", "{hint}"),
    "gpu-class-as-key": Wording(
        Code.WRONG_KIND, "`{found}` is a class, not a property", "write `gpu: {found}`"
    ),
    "unit-missing-size": Wording(
        Code.UNIT_MISSING, "`{found}` has no unit", "write `{found}GB` or `{found}GiB`"
    ),
    "unit-missing-duration": Wording(
        Code.UNIT_MISSING, "`{found}` has no unit", "write `{found}s`, `{found}m` or `{found}h`"
    ),
    "unit-unknown": Wording(Code.UNIT_UNKNOWN, "`{unit}` is no unit of a {what}", "use {units}"),
    "unit-unknown-near": Wording(Code.UNIT_UNKNOWN, "`{unit}` is no unit of a {what}", "use `{near}`"),
    "negative": Wording(Code.OUT_OF_RANGE, "`{found}` is negative", "write a positive number"),
    "not-finite": Wording(Code.OUT_OF_RANGE, "`{found}` is not a finite number", "{hint}"),
    "too-much": Wording(Code.OUT_OF_RANGE, "`{found}` is too much", "write at most {most}"),
    "zero": Wording(Code.OUT_OF_RANGE, "`{found}` is zero", "{hint}"),
    "upper-bound": Wording(
        Code.UPPER_BOUND, "`{found}` has an upper bound, and only a lower one can be checked", "{hint}"
    ),
    "choice": Wording(Code.NOT_A_CHOICE, "`{found}` is not one of: {choices}", "use one of them"),
    "choice-near": Wording(Code.NOT_A_CHOICE, "`{found}` is not one of: {choices}", "use `{near}`"),
    "class": Wording(Code.UNKNOWN_CLASS, "`{found}` is no known GPU class", "use one of: {known}"),
    "class-near": Wording(Code.UNKNOWN_CLASS, "`{found}` is no known GPU class", "use `{near}`"),
    "name-character": Wording(Code.BAD_NAME, "a name with {found}", "use letters, digits, `-` and `_`"),
    "name-reserved": Wording(Code.BAD_NAME, "`{found}` has a meaning of its own", "use another name"),
    "name-long": Wording(Code.BAD_NAME, "a name of {found} characters", "use at most 100"),
    "name-empty": Wording(Code.BAD_NAME, "an empty name", "write a name, or remove the key"),
    "env-name": Wording(
        Code.BAD_ENV_NAME,
        "not a name of an environment variable",
        "use letters, digits and `_`, no digit first",
    ),
    "env-empty": Wording(Code.MISSING_KEY, "no value", 'write `""` for an empty text'),
    "nul": Wording(Code.BAD_TEXT, "a NUL character inside a text", "remove it"),
    "url": Wording(Code.BAD_TEXT, "`{found}` is no web address", "write it as in `https://example.org/hook`"),
    "path-empty": Wording(Code.BAD_PATH, "an empty path", "write a path such as `{example}`"),
    "path-variable": Wording(
        Code.BAD_PATH, "a `$`, and variables are not expanded here", "write the path out"
    ),
}


class Refused(BadValue):
    """A text that a field refuses; `kind` is the id of its wording, `fields` fill the words in."""

    def __init__(self, kind: str, **fields: str) -> None:
        self.fields = fields
        self.message = WORDINGS[kind].message.format(**fields)
        super().__init__(kind, WORDINGS[kind].hint.format(**fields))

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}"


def shown(text: str, most: int = 60) -> str:
    """A text from the file as it may stand in a message: one line, no control characters, not long."""
    clean = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[: most + 1])
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def nearest(text: str, choices: list[str]) -> str | None:
    """The choice that was probably meant, or None."""
    import difflib  # only when something is wrong

    folded = {choice.casefold(): choice for choice in reversed(choices)}
    found = difflib.get_close_matches(text[:100].casefold(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None
