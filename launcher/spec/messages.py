"""The words for every problem of a job file, in one table: id → code, message, hint.

`{…}` are filled in by the place that found the problem. A message says what was found, a hint is an
instruction. What fills them in may be Words again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec.messages_results import RESULTS
from launcher.spec.messages_runs import RUNS
from launcher.spec.problems import ProblemCode as Code
from launcher.spec.wording import Wording
from launcher.values import BadValue
from launcher.words import Text, Words, words

if TYPE_CHECKING:
    from collections.abc import Mapping


WORDINGS: dict[str, Wording] = {
    # The text as a whole
    "too-large": Wording(
        Code.TOO_LARGE, words("{size} bytes, and a job file has at most {most}"), words("move data out of it")
    ),
    "not-utf8": Wording(
        Code.NOT_UTF8, words("not UTF-8: byte 0x{byte} at offset {offset}"), words("save the file as UTF-8")
    ),
    "control": Wording(
        Code.CONTROL_CHARACTER, words("an invisible control character, {name}"), words("remove it")
    ),
    "empty-file": Wording(
        Code.EMPTY, words("there is no job in here"), words("write at least `run: python train.py`")
    ),
    "second-document": Wording(
        Code.SECOND_DOCUMENT,
        words("a second document begins here"),
        words("keep one job in a file, and run several files"),
    ),
    "too-deep": Wording(
        Code.TOO_DEEP, words("nested more than {most} levels deep"), words("write it flatter")
    ),
    # Syntax
    "tab": Wording(Code.TAB, words("a tab where YAML wants spaces"), words("use spaces")),
    "full-width": Wording(Code.FULL_WIDTH, words("`{found}` is {kind}"), words("write `{ascii}`")),
    "second-colon": Wording(
        Code.SYNTAX,
        words("a `: ` that cannot stand here"),
        words("put the text in quotes, or `|` and the text on lines of its own"),
    ),
    "open-quote": Wording(
        Code.SYNTAX, words("the quote `{found}` is never closed"), words("close it with `{found}`")
    ),
    "open-bracket": Wording(
        Code.SYNTAX,
        words("what follows this `{found}` is not a list or mapping"),
        words("separate with `,` and close with `{closing}`"),
    ),
    "question-mark": Wording(
        Code.SYNTAX, words("a `?` between brackets and outside quotes"), words("put the text in quotes")
    ),
    "stray-bracket": Wording(
        Code.SYNTAX, words("`{found}` closes nothing"), words("remove it, or put the text in quotes")
    ),
    "first-character": Wording(
        Code.SYNTAX, words("no text can begin with {found}"), words("put the text in quotes")
    ),
    "escape": Wording(
        Code.SYNTAX,
        words("`{found}` is no escape of a double-quoted text"),
        words("write `\\\\` for a backslash, or use single quotes"),
    ),
    "block-header": Wording(
        Code.SYNTAX, words("a text behind `{found}`"), words("begin the text on the next line, indented")
    ),
    "colon-space": Wording(Code.SYNTAX, words("no space behind this colon"), words("write `key: value`")),
    "no-colon": Wording(
        Code.SYNTAX, words("this line is not `key: value`"), words("write a key, a colon and a space")
    ),
    "indentation": Wording(
        Code.SYNTAX,
        words("the indentation fits no line above"),
        words("align it with the keys that it belongs to"),
    ),
    "syntax": Wording(
        Code.SYNTAX,
        words("this cannot be read as YAML"),
        words("check quotes, brackets and indentation here"),
    ),
    # What YAML can do and a job file cannot
    "anchor": Wording(
        Code.ANCHOR, words("the anchor `&{name}`"), words("write the value out where it is needed")
    ),
    "alias": Wording(
        Code.ALIAS, words("the alias `*{name}`"), words("write the value out, or put the text in quotes")
    ),
    "merge": Wording(Code.MERGE_KEY, words("the merge key `<<`"), words("write the keys out")),
    "tag": Wording(Code.TAG, words("the tag `{name}`"), words("remove it, or put the text in quotes")),
    # Keys
    "unknown-key": Wording(Code.UNKNOWN_KEY, words("no such key"), words("use one of: {known}")),
    "unknown-key-near": Wording(Code.UNKNOWN_KEY, words("no such key"), words("use `{near}`")),
    "unknown-key-elsewhere": Wording(
        Code.UNKNOWN_KEY, words("not a key of {here}"), words("write it {there}")
    ),
    "set-key": Wording(
        Code.UNKNOWN_KEY, words("not a dotted key"), words("write it as in `--set resources.gpu=L4`")
    ),
    "set-item": Wording(
        Code.UNKNOWN_KEY,
        words("the items of a list cannot be set one by one"),
        words("set the whole of `{name}`"),
    ),
    "duplicate": Wording(
        Code.DUPLICATE_KEY, words("`{name}` stands on line {line} already"), words("keep one of the two")
    ),
    "duplicate-secret": Wording(
        Code.DUPLICATE_KEY, words("`{name}` is in the list already"), words("name it once")
    ),
    "missing": Wording(
        Code.MISSING_KEY, words("a required key is missing"), words("write `{name}: {example}`")
    ),
    "empty": Wording(Code.MISSING_KEY, words("no value"), Words("{hint}")),
    "foreign": Wording(
        Code.FOREIGN_KEY, words("a key of another tool that means nothing here"), Words("{hint}")
    ),
    "conflict": Wording(
        Code.CONFLICTING_KEYS,
        words("says the same as `{other}` on line {line}"),
        words("keep one of the two"),
    ),
    "conflict-instead": Wording(
        Code.CONFLICTING_KEYS, words("`{other}` is given too"), words("keep one of the two")
    ),
    "conflict-secret": Wording(
        Code.CONFLICTING_KEYS,
        words("`{name}` is in `env` too"),
        words("keep it in `secrets`, and its value out of the file"),
    ),
    "conflict-output": Wording(
        Code.CONFLICTING_KEYS,
        words("would replace the output on line {line}: both become `{target}`"),
        words("use another `to`"),
    ),
    "conflict-restore": Wording(
        Code.CONFLICTING_KEYS,
        words("a command can take results, and cannot give them back"),
        words("use another `to`, or remove `restore`"),
    ),
    "later": Wording(Code.NOT_AVAILABLE_YET, words("not available yet"), words("remove it")),
    "key-not-text": Wording(
        Code.KEY_NOT_TEXT, words("a key that is not a plain text"), words("write `key: value`")
    ),
    # Values
    "want-mapping": Wording(
        Code.WRONG_KIND, words("{found} where keys with values are wanted"), Words("{hint}")
    ),
    "want-list": Wording(Code.WRONG_KIND, words("{found} where a list is wanted"), Words("{hint}")),
    "want-text": Wording(Code.WRONG_KIND, words("{found} where one value is wanted"), Words("{hint}")),
    "not-a-mapping": Wording(
        Code.WRONG_KIND, words("`{name}` is not a mapping"), words("set the whole of `{name}`")
    ),
    "not-size": Wording(
        Code.WRONG_KIND, words("`{found}` is not a size"), words("write a number and a unit, such as `50GB`")
    ),
    "not-duration": Wording(
        Code.WRONG_KIND,
        words("`{found}` is not a duration"),
        words("write a number and a unit, such as `30s`, `20m` or `6h`"),
    ),
    "not-number": Wording(
        Code.WRONG_KIND, words("`{found}` is not a number"), words("write it as in `{example}`")
    ),
    "not-integer": Wording(
        Code.WRONG_KIND, words("`{found}` is not a whole number"), words("write digits, as in `{example}`")
    ),
    "not-flag": Wording(
        Code.WRONG_KIND, words("`{found}` is neither true nor false"), words("write `true` or `false`")
    ),
    "not-capability": Wording(
        Code.WRONG_KIND,
        words("`{found}` is not a compute capability"),
        words("write major and minor, such as `8.0`"),
    ),
    "not-tpu": Wording(
        Code.WRONG_KIND, words("`{found}` is not a TPU type"), words("write it as in `v5e-1`")
    ),
    "gpu-alone": Wording(
        Code.WRONG_KIND, words("`{found}` stands alone, not in a list"), words("write `gpu: {found}`")
    ),
    "gpu-no-count": Wording(Code.WRONG_KIND, words("`none` has no count"), words("write `none`")),
    "gpu-not-exact": Wording(Code.WRONG_KIND, words("`=` goes before a class"), words("write `{hint}`")),
    "gpu-as-number": Wording(
        Code.WRONG_KIND,
        words("`{found}` names no class"),
        words("write `any:{found}` or a class such as `A100:{found}`"),
    ),
    "gpu-as-size": Wording(
        Code.WRONG_KIND, words("`{found}` names no class"), words("write `{{memory: {found}}}`")
    ),
    "gpu-size-as-count": Wording(Code.WRONG_KIND, words("`{found}` is not a count"), Words("{hint}")),
    "gpu-class-as-key": Wording(
        Code.WRONG_KIND, words("`{found}` is a class, not a property"), words("write `gpu: {found}`")
    ),
    "unit-missing-size": Wording(
        Code.UNIT_MISSING, words("`{found}` has no unit"), words("write `{found}GB` or `{found}GiB`")
    ),
    "unit-missing-duration": Wording(
        Code.UNIT_MISSING, words("`{found}` has no unit"), words("write `{found}s`, `{found}m` or `{found}h`")
    ),
    "unit-unknown": Wording(
        Code.UNIT_UNKNOWN, words("`{unit}` is no unit of a {what}"), words("use {units}")
    ),
    "unit-unknown-near": Wording(
        Code.UNIT_UNKNOWN, words("`{unit}` is no unit of a {what}"), words("use `{near}`")
    ),
    "negative": Wording(Code.OUT_OF_RANGE, words("`{found}` is negative"), words("write a positive number")),
    "not-finite": Wording(Code.OUT_OF_RANGE, words("`{found}` is not a finite number"), Words("{hint}")),
    "too-much": Wording(Code.OUT_OF_RANGE, words("`{found}` is too much"), words("write at most {most}")),
    "zero": Wording(Code.OUT_OF_RANGE, words("`{found}` is zero"), Words("{hint}")),
    "too-often": Wording(
        Code.OUT_OF_RANGE,
        words("`{found}` is too often: a file is copied after it has been quiet for some seconds"),
        words("write at least `10s`"),
    ),
    "upper-bound": Wording(
        Code.UPPER_BOUND,
        words("`{found}` has an upper bound, and only a lower one can be checked"),
        Words("{hint}"),
    ),
    "choice": Wording(
        Code.NOT_A_CHOICE, words("`{found}` is not one of: {choices}"), words("use one of them")
    ),
    "choice-near": Wording(
        Code.NOT_A_CHOICE, words("`{found}` is not one of: {choices}"), words("use `{near}`")
    ),
    "with-provider": Wording(
        Code.NOT_A_CHOICE,
        words("`{found}` has no word of its own here"),
        words("use `with: {{command: …}}`; docs/release.md has commands for providers"),
    ),
    "with-command": Wording(
        Code.MISSING_KEY,
        words("no command"),
        words('write it too, as in `with: {{command: "sudo poweroff"}}`'),
    ),
    "class": Wording(
        Code.UNKNOWN_CLASS, words("`{found}` is no known GPU class"), words("use one of: {known}")
    ),
    "class-near": Wording(
        Code.UNKNOWN_CLASS, words("`{found}` is no known GPU class"), words("use `{near}`")
    ),
    "name-character": Wording(
        Code.BAD_NAME, words("a name with {found}"), words("use letters, digits, `-` and `_`")
    ),
    "name-reserved": Wording(
        Code.BAD_NAME, words("`{found}` has a meaning of its own"), words("use another name")
    ),
    "name-long": Wording(Code.BAD_NAME, words("a name of {found} characters"), words("use at most 100")),
    "name-empty": Wording(Code.BAD_NAME, words("an empty name"), words("write a name, or remove the key")),
    "env-name": Wording(
        Code.BAD_ENV_NAME,
        words("not a name of an environment variable"),
        words("use letters, digits and `_`, no digit first"),
    ),
    "env-empty": Wording(Code.MISSING_KEY, words("no value"), words('write `""` for an empty text')),
    "nul": Wording(Code.BAD_TEXT, words("a NUL character inside a text"), words("remove it")),
    "url": Wording(
        Code.BAD_TEXT,
        words("`{found}` is no web address"),
        words("write it as in `https://example.org/hook`"),
    ),
    "path-empty": Wording(Code.BAD_PATH, words("an empty path"), words("write a path such as `{example}`")),
    "path-variable": Wording(
        Code.BAD_PATH, words("a `$`, and variables are not expanded here"), words("write the path out")
    ),
    **RESULTS,
    **RUNS,
}


class Refused(BadValue):
    """A text that a field refuses; `kind` is the id of its wording, `fields` fill the words in."""

    def __init__(self, kind: str, **fields: Text) -> None:
        self.fields = fields
        _, message, hint = WORDINGS[kind]
        self.message, self.advised = filled(message, fields), filled(hint, fields)
        super().__init__(kind, str(self.advised))

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}"


def filled(wording: Text, fields: Mapping[str, object]) -> Text:
    """The words of a row with what fills them in."""
    return Words(wording.template, tuple(fields.items())) if isinstance(wording, Words) else wording


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
