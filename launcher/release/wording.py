"""What is said of a release that goes on, or has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.words import words

if TYPE_CHECKING:
    from launcher.release.interface import Answer
    from launcher.words import Text


def not_accepted(answer: Answer) -> Text:
    """Nothing was accepted for a long time; `answer` is the last one."""
    if not answer.said:
        return words("the release was not accepted")
    return words("the release was not accepted: {why}", why=answer.said)


def asking_again(accepted: int) -> Text:
    """It was accepted so many times, and does not go."""
    return words("accepted {count} times, and this runtime is still here: asking again", count=accepted)


def last_words(reason: str, way: str, *, accepted: int, counting: bool) -> Text:
    """Why a release has ended: `reason` is the protocol's, `counting` whether a countdown ran."""
    if reason == "ended-by-person" and counting:
        return words("a person stopped the countdown")
    if reason == "ended-by-person":
        return words("a person stopped the release")
    if reason == "another-run-released":
        return words("another run of colab-run has handed this runtime back")
    if reason == "gone":
        return words("what was to go has gone: {what}", what=way)
    return words("accepted {count} times, and this runtime is still here", count=accepted)


def retrying(answer: Answer) -> str:
    """Why there will be another request: its code, and what was said."""
    return f"{answer.reason}: {answer.said}" if answer.said else answer.reason
