"""One run as `history` shows it: from its rows, here and in mirrors, and from its last document. Pure.

The rows come first: a machine that is gone can say no more, the next one can. The document fills in what
the rows of an older version do not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.clock import wall_of
from launcher.ledger.model import PastRun, ReleaseTold, Row, SavedInAll, State, is_amount, of_release
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.values import Reading

NOT_TOLD = Unknown("not-told")
NOT_ENDED = Unknown("not-ended")


def past_run(
    run_id: str,
    rows: Sequence[Row],
    document: Mapping[str, Any],
    *,
    places: tuple[str, ...],
    receipt: str | None,
    guarded: bool,
) -> PastRun:
    """The run; `rows` in any order, some perhaps twice; `document` is its result.json or nothing."""
    rows = sorted(rows, key=lambda row: (row.wall, row.seq))
    own = [row for row in rows if row.state is not State.CONFIRMED]
    facts: dict[str, object] = {}
    for row in own:
        if row.state in (State.PLANNED, State.STARTED, State.ENDED):
            facts.update(row.facts)
    rate = facts.get("rate")
    ended = any(row.state is State.ENDED for row in own) or document.get("outcome") is not None
    told = {**document, **{name: value for name, value in facts.items() if value is not None}}
    return PastRun(
        run_id=run_id,
        name=_text(told.get("name") or told.get("job")) or "",
        story=_text(told.get("story")) or run_id,
        resumed_from=_text(told.get("resumed_from")),
        state=rows[-1].state.value if rows else str(document.get("state")),
        guarded=guarded,
        began=_began(own, document),
        outcome=_outcome(told) if ended else _not_yet(guarded=guarded),
        exit_code=_known(_last_code(own, document), int) if ended else _not_yet(guarded=guarded),
        attempts=_known(told.get("attempts"), int) if ended else _not_yet(guarded=guarded),
        duration_s=_number(told.get("duration_s")),
        units=_number(told.get("compute_units")),
        rate_checked=_text(rate.get("checked")) if isinstance(rate, dict) else None,
        saved=_saved(own, document),
        release=_release(rows, document),
        platform=_known(facts.get("platform"), str),
        host=_known(facts.get("host"), str),
        boot_id=Known(own[0].boot_id) if own else NOT_TOLD,
        places=places,
        receipt=NOT_TOLD if receipt is None else Known(receipt),
        kind=_kind(told, document),
    )


def _kind(told: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    if told.get("kind") == "watch" or isinstance(document.get("watch"), dict):
        return "watch"
    return "queue" if told.get("kind") == "queue" or document.get("queue_id") is not None else "run"


def _outcome(told: Mapping[str, Any]) -> Reading[str | None]:
    """A watch has no job that could come to one."""
    return Known(None) if told.get("kind") == "watch" else _known(told.get("outcome"), str)


def _last_code(rows: Sequence[Row], document: Mapping[str, Any]) -> object:
    """With what was said after the job: that its outputs, or its release, went wrong (74, 75)."""
    if document.get("state") == "done":
        return document.get("exit_code")
    codes = [row.facts.get("exit_code") for row in rows]
    return next((code for code in reversed(codes) if code is not None), document.get("exit_code"))


def _not_yet(*, guarded: bool) -> Reading[Any]:
    """A run that somebody looks after has no end; of any other nobody here knows."""
    return Known(None) if guarded else NOT_ENDED


def _known(value: object, kind: type) -> Reading[Any]:
    if isinstance(value, int):
        return Known(value) if kind is int and is_amount(value) else NOT_TOLD
    return Known(value) if isinstance(value, kind) else NOT_TOLD


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> Reading[Any]:
    """A figure as documents have it: `{"unknown": reason}` where it is none."""
    if isinstance(value, dict):
        return Unknown(str(value.get("unknown")))
    return Known(value) if is_amount(value) else NOT_TOLD


def _began(rows: Sequence[Row], document: Mapping[str, Any]) -> Reading[float]:
    if rows:
        return Known(rows[0].wall)
    began = wall_of(document.get("started"))
    return NOT_TOLD if began is None else Known(began)


def _saved(rows: Sequence[Row], document: Mapping[str, Any]) -> Reading[SavedInAll]:
    told = next((row.facts.get("saved") for row in reversed(rows) if row.state is State.SAVED), None)
    outputs = document.get("saved") if told is None else told
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        return NOT_TOLD
    return Known(
        SavedInAll(
            sum(_whole(output.get("files")) for output in outputs),
            sum(_whole(output.get("bytes")) for output in outputs),
            all(output.get("complete") is True for output in outputs),
            tuple(str(output.get("to")) for output in outputs),
        )
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and is_amount(value) else 0


def _release(rows: Sequence[Row], document: Mapping[str, Any]) -> Reading[ReleaseTold]:
    """By the last row about it; a run that ended without one says so in its last row, or its document."""
    told = of_release(rows)
    if told is not None:
        accepted = any(row.state is State.ACCEPTED for row in rows)
        return Known(_by_row(*told, accepted=accepted))
    release = document.get("release")
    if isinstance(release, dict) and document.get("state") == "done":
        return Known(_by_facts(str(release.get("status")), release, None))
    return NOT_TOLD


def _by_row(status: str, row: Row, *, accepted: bool) -> ReleaseTold:
    told = _by_facts(status, row.facts, row.wall)
    if row.state is State.CONFIRMED:
        return told._replace(
            by=_text(row.facts.get("host")), heard=accepted or row.facts.get("accepted") is True
        )
    return told


def _by_facts(status: str, facts: Mapping[str, Any], at: float | None) -> ReleaseTold:
    http = facts.get("http_status")
    return ReleaseTold(
        status,
        _text(facts.get("reason")) or "",
        at,
        _whole(http) if http is not None else None,
        _whole(facts.get("attempts")),
        _text(facts.get("asked_by")),
    )
