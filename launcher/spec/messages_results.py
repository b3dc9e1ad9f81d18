"""The words for problems of where results go, and which files they are: rows of the table in messages.py."""

from __future__ import annotations

from launcher.spec.problems import ProblemCode as Code
from launcher.spec.wording import Wording
from launcher.words import words

RESULTS: dict[str, Wording] = {
    # Where outputs go
    "target-kind": Wording(
        Code.BAD_TARGET,
        words("`{found}` is nothing that results can be saved to"),
        words(
            "use a folder, `rclone:`, `gs://`, `s3://`, `hf://`, or a command, as in "
            "`command: rsync -a {{path}} host:dir/`"
        ),
    ),
    "target-kind-near": Wording(
        Code.BAD_TARGET, words("`{found}` is nothing that results can be saved to"), words("use `{near}`")
    ),
    "target-kind-remote": Wording(
        Code.BAD_TARGET,
        words("`{found}` is nothing that results can be saved to"),
        words("write `rclone:{written}` for a remote of rclone, `./{written}` for a folder"),
    ),
    "target-remote": Wording(
        Code.BAD_TARGET,
        words("a remote of rclone needs a name and a colon behind it"),
        words("write it as in `rclone:drive:finetune`; `rclone listremotes` shows the names"),
    ),
    "target-bucket": Wording(
        Code.BAD_TARGET, words("no bucket is named here"), words("write it as in `{example}`")
    ),
    "target-repository": Wording(
        Code.BAD_TARGET,
        words("no repository is named here"),
        words("write it as in `hf://user/repo/folder` or `hf://datasets/user/repo/folder`"),
    ),
    "target-path": Wording(
        Code.BAD_TARGET,
        words("`{found}` in a remote path, where it may mean something else"),
        words("use a path without it"),
    ),
    "target-command": Wording(
        Code.BAD_TARGET,
        words("no `{{path}}` in the command"),
        words("write it where the output belongs, as in `command: rsync -a {{path}} host:dir/`"),
    ),
    "target-command-quoted": Wording(
        Code.BAD_TARGET, words("quotes around `{{path}}`, which has its own"), words("remove them")
    ),
    "mirror-not-folder": Wording(
        Code.BAD_TARGET,
        words("`{found}` cannot be a mirror: it has to be a folder: each row is a file renamed into place"),
        words("use a folder that outlives the runtime, such as one on Drive"),
    ),
    # Which files of an output
    "pattern-empty": Wording(
        Code.BAD_PATTERN, words("an empty pattern"), words("write a pattern such as `{example}`")
    ),
    "pattern-absolute": Wording(
        Code.BAD_PATTERN,
        words("a pattern that does not begin in the output"),
        words("write it as seen from `path`, such as `logs/*.txt`"),
    ),
    "pattern-dots": Wording(
        Code.BAD_PATTERN,
        words("a pattern with `.`, `..` or nothing between its slashes"),
        words("write it as seen from `path`, such as `logs/*.txt`"),
    ),
    "pattern-variable": Wording(
        Code.BAD_PATTERN,
        words("a `$`, and variables are not expanded here"),
        words("write the pattern out"),
    ),
    "pattern-negated": Wording(
        Code.BAD_PATTERN,
        words("a pattern that begins with `!`"),
        words("write what is wanted in `include`, what is not in `exclude`"),
    ),
    "pattern-braces": Wording(
        Code.BAD_PATTERN,
        words("`{found}` matches only these characters"),
        words("write a list, with one pattern for each"),
    ),
}
