"""`release:` of the job file: when, after what, and with what the runtime is handed back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec.fields import read_choice, read_duration
from launcher.spec.messages import nearest, shown
from launcher.spec.model import AfterHold, ReleasePolicy, ReleaseWith, Unsaved, When, With
from launcher.spec.tree import Mapping, Scalar
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from launcher.spec.reader import Field

_COMMAND = "command:"
# The two of a Jupyter server are told apart by `{jupyter: …}`.
WORDS = [kind.value for kind in With if kind is not With.JUPYTER_KERNEL]
_JUPYTER = {"server": With.JUPYTER, "kernel": With.JUPYTER_KERNEL}
# Machines that are handed back by a command of their provider's.
_PROVIDERS = {
    *("runpod", "runpodctl", "vast", "vast.ai", "vastai", "lambda", "lambdalabs", "kaggle", "modal"),
    *("gce", "gcp", "gcloud", "google", "ec2", "aws", "azure", "oci", "autodl", "aliyun", "lightning"),
    "paperspace",
}  # fmt: skip
_MEANT = {
    **dict.fromkeys(("shutdown", "halt"), "poweroff"),
    **dict.fromkeys(("scancel", "sbatch", "salloc"), "slurm"),
    **dict.fromkeys(("jupyterlab", "jupyterhub", "notebook", "server"), "jupyter"),
    **dict.fromkeys(("kernel", "jupyter-kernel", "jupyter:kernel"), "{jupyter: kernel}"),
    **dict.fromkeys(("jupyter-server", "jupyter:server"), "{jupyter: server}"),
    **dict.fromkeys(("shell", "script", "cmd", "sh"), '{command: "…"}'),
}


def read_release(field: Field | None) -> ReleasePolicy:
    """The policy, with the defaults for everything that is not said."""
    default = ReleasePolicy()
    if field is None:
        return default
    word = field.node.text if isinstance(field.node, Scalar) else ""
    example = f"{{when: {word}}}" if word in [when.value for when in When] else "{when: always}"
    release = field.mapping(example=example)
    if release is None:
        return default
    when = read_choice(release.take("when"), When)
    after = read_duration(release.take("after"), example="30m")
    grace = read_duration(release.take("grace"), example="2m", zero=True)
    unsaved = read_choice(release.take("unsaved"), Unsaved)
    hold = read_duration(release.take("hold"), example="2h", zero=True)
    after_hold = read_choice(release.take("after_hold"), AfterHold)
    how = _read_with(release.take("with"))
    confirm = read_duration(release.take("confirm"), example="2m")
    close(release)
    return ReleasePolicy(
        when=when,
        after_s=default.after_s if after is None else after,
        grace_s=default.grace_s if grace is None else grace,
        unsaved=unsaved or default.unsaved,
        hold_s=default.hold_s if hold is None else hold,
        after_hold=after_hold,
        confirm_s=default.confirm_s if confirm is None else confirm,
        how=how,
    )


def _read_with(field: Field | None) -> ReleaseWith | None:
    """A word, `command: …` as one text, `{command: …}` or `{jupyter: kernel}`."""
    if field is None:
        return None
    if isinstance(field.node, Mapping):
        return _read_with_mapping(field)
    text = field.text(example="slurm")
    if text is None:
        return None
    word = text.strip()
    if word.startswith(_COMMAND) and word != _COMMAND:
        return ReleaseWith(With.COMMAND, word[len(_COMMAND) :].strip())
    if word in ("command", _COMMAND):
        field.problem("with-command")
        return None
    if word in WORDS:
        return ReleaseWith(With(word))
    _explain(field, word)
    return None


def _read_with_mapping(field: Field) -> ReleaseWith | None:
    reader = field.mapping(example="{jupyter: kernel}")
    if reader is None:
        return None
    command, jupyter = reader.take("command"), reader.take("jupyter")
    text = command.text(example="sudo poweroff") if command is not None else None
    part = jupyter.choice(list(_JUPYTER)) if jupyter is not None else None
    if command is not None and jupyter is not None:
        jupyter.problem_at_key("conflict-instead", other="command")
    close(reader)
    if text is not None:
        return ReleaseWith(With.COMMAND, text.strip())
    return ReleaseWith(_JUPYTER[part]) if part is not None else None


def _explain(field: Field, word: str) -> None:
    name = word.lower()
    if name in _PROVIDERS:
        field.problem("with-provider", found=shown(word))
        return
    near = _MEANT.get(name) or nearest(name, WORDS)
    wording = "choice" if near is None else "choice-near"
    field.problem(wording, found=shown(word), choices=", ".join(WORDS), near=near)
