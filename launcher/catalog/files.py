"""Where the data files of `configs/` lie: named by the user, in the wheel, or in the source tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIGS_VARIABLE = "COLAB_RUN_CONFIGS"
_MARKER = "accelerators.yaml"
_PACKAGE = Path(__file__).resolve().parent.parent


def find_configs(environ: Mapping[str, str]) -> Path:
    """The folder that holds accelerators.yaml.

    `COLAB_RUN_CONFIGS` wins and must be right: a folder that somebody named is never passed over in
    silence. Raises UsageError.
    """
    named = environ.get(CONFIGS_VARIABLE)
    if named:
        if not (Path(named) / _MARKER).is_file():
            raise UsageError(
                words(
                    "{variable} names {folder}, and there is no {file} in it",
                    variable=CONFIGS_VARIABLE,
                    folder=named,
                    file=_MARKER,
                ),
                words(
                    "name a folder with {file} and platforms/colab.yaml, or unset {variable}",
                    file=_MARKER,
                    variable=CONFIGS_VARIABLE,
                ),
            )
        return Path(named)
    for folder in (_PACKAGE / "_configs", _PACKAGE.parent / "configs"):
        if (folder / _MARKER).is_file():
            return folder
    raise UsageError(
        words(
            "the data files of colab-run are not installed: no {file} beside {folder}",
            file=_MARKER,
            folder=_PACKAGE,
        ),
        words("install it again: {command}", command="pip install --force-reinstall colab-run"),
    )
