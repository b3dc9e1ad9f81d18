"""`colab-run watch --replay FILE`: what would have been released when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.render import print_document
from launcher.errors import ExitCode, UsageError
from launcher.jobs import parse_option
from launcher.replaying import replay_file
from launcher.report.replay import picture, replay_screen
from launcher.spec import quantities
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.cli.shared import Shared
    from launcher.replaying import ReplayResult


def replay(
    shared: Shared, path: str, idle: str | None, policies: Sequence[str], drawn: str | None, *, json: bool
) -> int:
    """The table, and the picture where one is asked for. Raises UsageError and RecordingError."""
    window_s = parse_option("--idle", idle, quantities.duration)
    result = replay_file(path, window_s=window_s, policies=policies)
    if drawn is not None:
        _draw(drawn, result, shared)
    if json:
        print_document(result.as_json())
    else:
        sums = [(row.score, row.better) for row in result.rows]
        screen = replay_screen(sums, result.releases, result.remarks, shared.paper)
        shared.screen("stdout").print(screen)
    return int(ExitCode.OK)


def _draw(path: str, result: ReplayResult, shared: Shared) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(picture(result.curve, result.end_s, result.releases, shared.paper))
    except OSError as error:
        raise UsageError(
            words("--picture {path} cannot be written: {why}", path=path, why=reason(error.strerror)),
            words("name a file in a folder of yours"),
        ) from error
