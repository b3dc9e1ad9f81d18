"""What `colab-run watch` says: what it will do and when, how long nothing has shown life, and what has. Pure.

Documents are those of the guards' sockets: their sentences become words of a language only here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.clock import wall_of
from launcher.idle.model import SIGNS
from launcher.record import SCHEMA_VERSION
from launcher.report.lines import ENGLISH, Line, Paper, Tone, columns, padded
from launcher.units import dated_rate
from launcher.words import Words, from_plain, listed, spelled, within, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.words import Text

GAP = "  "
KEEPS = "*"
# `--short` says nothing while something has been alive within this part of the time asked for.
SHORT_PART = 0.1
STATUS, WHY = "colab-run watch --status", "colab-run watch --why"
STOP = "colab-run watch --stop"
REPLAY = "colab-run watch --replay FILE"

_STATES: Mapping[str, Words] = {
    "alive": within("state of a sign", "alive"),
    "quiet": within("state of a sign", "quiet"),
    "unknown": within("state of a sign", "unknown"),
}
_REASONS: Mapping[str, Words] = {
    "timeout": words("it did not answer"),
    "failed": words("reading it failed"),
    "not-readable": words("reading it failed"),
    "not-walked-yet": words("not everything has been looked at yet"),
    "too-many-files": words("there are too many files to look at in time"),
    "not-told": words("the notebook server does not tell"),
    "kernel-without-server": words("no notebook server knows that kernel"),
    "not-read": words("it was not read"),
    "nonsense": words("what was read makes no sense"),
}


# --- the beginning and the end ---------------------------------------------------------------------


def started_screen(run_id: str, watch: Mapping[str, Any], paper: Paper = ENGLISH) -> list[Line]:
    """A watch has begun: what it will do, and when, and what that costs."""
    said: list[Text] = [
        words(
            "watch {run_id}: this runtime is released once nothing has shown life for {time}, after a "
            "countdown of {grace}",
            run_id=run_id,
            time=_spelled(watch["idle_s"]),
            grace=_spelled(watch["grace_s"]),
        ),
        words("what is done then: {what}", what=from_plain(watch["does"])),
    ]
    if watch["outputs"]:
        named = listed(words("{path} to {to}", path=one["path"], to=one["to"]) for one in watch["outputs"])
        said.append(words("before that it is saved and verified: {outputs}", outputs=named))
    if watch["ignored"]:
        said.append(words("left out, because you said so: {signs}", signs=_signs(watch["ignored"])))
    if watch["max_s"] is not None:
        said.append(
            words(
                "after {time} it is released in any case; then only a run, `colab-run keep`, a file HOLD or "
                "a busy notebook kernel holds it",
                time=_spelled(watch["max_s"]),
            )
        )
    if watch["record"]:
        said.append(words("every look is appended to {path}", path=watch["record"]))
    said.append(_rate(watch["rate"]))
    if watch["replaced"]:
        others = ", ".join(watch["replaced"])
        said.append(words("it takes the place of an earlier watch ({runs})", runs=others))
    said.append(words("what keeps it up: {why}; to end the watch: {stop}", why=WHY, stop=STOP))
    return _paragraphs(said, paper)


def _rate(rate: Mapping[str, Any] | None) -> Text:
    if rate is None:
        return words("what an hour of waiting costs is not known here")
    figures = dated_rate(rate["units"], rate["usd"], rate["checked"], stale=rate["stale"])
    return words("waiting costs {rate}", rate=figures)


def stopped_screen(ended: Sequence[str], paper: Paper = ENGLISH) -> list[Line]:
    """`watch --stop`."""
    if not ended:
        return paper.wrapped(words("no watch of yours runs here"))
    said = words("the watch has ended ({runs}): nothing releases this runtime now", runs=", ".join(ended))
    return paper.wrapped(said, later="  ")


# --- status -----------------------------------------------------------------------------------------


def status_screen(
    document: Mapping[str, Any] | None,
    now_wall: float,
    paper: Paper = ENGLISH,
    *,
    silent: Sequence[str] = (),
    others: int = 0,
) -> list[Line]:
    """`watch --status`: how long nothing has shown life, what that cost, and when it would go.

    `silent` are watches whose guards do not answer.
    """
    if document is None:
        return [*(_silent(silent, paper) or _none(paper)), *_of_others(others, paper)]
    watch = document["watch"]
    said: list[Text] = [
        words(
            "watch {run_id}: {standing}",
            run_id=document["run_id"],
            standing=standing_said(watch, document.get("release"), document["state"]),
        )
    ]
    if document.get("countdown_until"):
        left = (wall_of(document["countdown_until"]) or now_wall) - now_wall
        said.append(
            words("it goes in {time}; to keep it: {command}", time=_spelled(left), command="colab-run keep")
        )
    if cost := _cost(watch["cost"]):
        said.append(cost)
    if watch["max_at"] is not None:
        said.append(words("in {time} it is released in any case", time=_spelled(watch["max_in_s"])))
    if watch["recording_problem"]:
        said.append(
            words(
                "nothing more is written to {path}: {why}",
                path=watch["record"],
                why=watch["recording_problem"],
            )
        )
    said.append(words("what keeps it up: {why}; to end the watch: {stop}", why=WHY, stop=STOP))
    return [*_paragraphs(said, paper), *_silent(silent, paper), *_of_others(others, paper)]


def _silent(run_ids: Sequence[str], paper: Paper) -> list[Line]:
    """One sentence for each guard that does not answer."""
    return [line for run_id in run_ids for line in paper.wrapped(_not_asked(run_id))]


def _not_asked(run_id: str) -> Text:
    return words("the guard of the run {run_id} cannot be asked", run_id=run_id)


def _none(paper: Paper) -> list[Line]:
    start = "colab-run watch --idle 30m"
    return paper.wrapped(words("no watch of yours runs here; to start one: {command}", command=start))


def _of_others(others: int, paper: Paper) -> list[Line]:
    if not others:
        return []
    return paper.wrapped(words("another user watches this runtime, too"))


def standing_said(wait: Mapping[str, Any], release: object = None, state: object = "") -> Text:
    """How a wait for idleness stands, in one sentence."""
    told = release if isinstance(release, dict) else {}
    if told.get("status") == "held" and told.get("reason") not in ("awake", "idle"):
        return words("it is idle, and held: {why}", why=told.get("detail") or told.get("reason"))
    if state == "saving":
        return words("it is idle; what it has to save is being saved")
    if told.get("status") in ("requested", "accepted", "failed"):
        return words("its release was asked for ({status})", status=told["status"])
    because, quiet_s = wait["because"], wait["quiet_s"]
    if because is None:
        return words("nothing has been looked at yet")
    if because == "unknown":
        return words("it counts as alive, for this cannot be read: {signs}", signs=_signs(wait["which"]))
    if because == "idle":
        return words("nothing has shown life for {time}", time=_spelled(quiet_s))
    if because == "alive" and quiet_s is None:
        return words(
            "something shows life, and something cannot be read: {signs}", signs=_signs(wait["which"])
        )
    if because == "alive":
        return words(
            "nothing has shown life for {time}; it would be idle in {left} (last: {signs})",
            time=_spelled(quiet_s),
            left=_spelled(wait["idle_in_s"]),
            signs=_signs(wait["which"][:3]),
        )
    if wait["idle_at"] is not None:
        left = _spelled(wait["idle_in_s"])
        return words("it has not been watched for long enough; it would be idle in {time}", time=left)
    return words("it has not been watched for long enough")


def short_line(
    document: Mapping[str, Any] | None, paper: Paper = ENGLISH, *, silent: Sequence[str] = ()
) -> list[Line]:
    """`watch --status --short`: one line for somebody who logs in, or none."""
    if document is None:
        return [Line(paper.text(_not_asked(run_id))) for run_id in silent[:1]]
    watch = document["watch"]
    quiet_s, cost = watch["quiet_s"], watch["cost"]
    if watch["because"] == "unknown" and watch["which"]:
        return [_with_why(standing_said(watch), paper)]
    if quiet_s is None or quiet_s < SHORT_PART * watch["idle_s"]:
        return []
    if cost is None:
        said = words("idle {time}; `{command}`", time=_spelled(quiet_s), command=WHY)
    else:
        usd = f"{cost['usd']:.2f}"
        said = words(
            "idle {time}, about US${usd} so far; `{command}`", time=_spelled(quiet_s), usd=usd, command=WHY
        )
    return [Line(paper.text(said))]


def _with_why(said: Text, paper: Paper) -> Line:
    return Line(paper.text(words("{said}; `{command}`", said=said, command=WHY)))


def _cost(cost: Mapping[str, Any] | None) -> Text:
    if cost is None:
        return ""
    figures = {"units": f"{cost['units']:.2f}", "usd": f"{cost['usd']:.2f}"}
    if cost["checked"] is None:
        return words("that has cost about {units} units (US${usd}; undated rate)", **figures)
    return words(
        "that has cost about {units} units (US${usd}; rate of {date})", **figures, date=cost["checked"]
    )


# --- why ---------------------------------------------------------------------------------------------


def why_screen(
    waits: Sequence[Mapping[str, Any]], silent: Sequence[str], paper: Paper = ENGLISH
) -> list[Line]:
    """`watch --why`: for each wait how it stands, and every sign of life."""
    lines: list[Line] = []
    for wait in waits:
        lines += [Line("")] if lines else []
        lines += paper.wrapped(_headline(wait), later="  ")
        lines += _table(wait["signs"], paper)
    return [*lines, *_silent(silent, paper)]


def _headline(document: Mapping[str, Any]) -> Text:
    wait = document["wait"]
    if document["run_id"] is None:
        looked = _spelled(document["looked_s"])
        return words("no watch runs here; this is what a look of {time} shows", time=looked)
    standing = standing_said(wait, document.get("release"), document.get("state"))
    if document.get("watch"):
        return words("watch {run_id}: {standing}", run_id=document["run_id"], standing=standing)
    return words(
        "{name} (run {run_id}) waits until this runtime is idle: {standing}",
        name=document["job"],
        run_id=document["run_id"],
        standing=standing,
    )


def _table(signs: Sequence[Mapping[str, Any]], paper: Paper) -> list[Line]:
    if not signs:
        return []
    heads: list[Text] = [
        "",
        within("heading of signs of life", "SIGN"),
        within("heading of signs of life", "STATE"),
        within("heading of signs of life", "LAST ALIVE"),
        within("heading of signs of life", "SEEN"),
    ]
    rows = [heads, *map(_cells, signs)]
    texts = [[paper.text(cell) for cell in cells] for cells in rows]
    widths = [max(columns(cells[at]) for cells in texts) for at in range(len(heads))]
    shown = [Line(GAP.join(map(padded, cells, widths)).rstrip()) for cells in texts]
    lines = [shown[0]]
    for sign, line in zip(signs, shown[1:], strict=True):
        lines.append(line)
        if counts := from_plain(sign["counts"]):
            said = words("counts as life: {what}", what=counts)
            lines += [Line(one.text, tone=Tone.QUIET) for one in paper.wrapped(said, "     ", "       ")]
    note = words(
        "{mark} keeps this runtime up; one sign is enough, and what cannot be read counts", mark=KEEPS
    )
    return [*lines, *paper.wrapped(note, later="  ")]


def _cells(sign: Mapping[str, Any]) -> list[Text]:
    seen: Text = from_plain(sign["saw"])
    if sign["state"] == "unknown":
        seen = _REASONS.get(sign["reason"]) or str(sign["reason"])
    return [
        KEEPS if sign["keeps"] else "",
        SIGNS.get(sign["sign"], sign["sign"]),
        _STATES[sign["state"]],
        _ago(sign),
        seen,
    ]


def _ago(sign: Mapping[str, Any]) -> Text:
    if sign["quiet_s"] is None:
        return "-"
    if sign["state"] == "alive":
        return within("when a sign was last alive", "now")
    return words("{time} ago", time=_spelled(sign["quiet_s"]))


# --- documents ----------------------------------------------------------------------------------------


def started_document(run_id: str | None, watch: Mapping[str, Any]) -> dict[str, object]:
    """`watch --idle … --json`; sentences in English already."""
    return {"schema_version": SCHEMA_VERSION, "run_id": run_id, "state": "watching", "watch": watch}


def status_document(
    document: Mapping[str, Any] | None, silent: Sequence[str], others: int
) -> dict[str, object]:
    """`watch --status --json`."""
    told = None if document is None else {name: document.get(name) for name in _OF_STATUS}
    return {
        "schema_version": SCHEMA_VERSION,
        "watch": told,
        "not_answering": list(silent),
        "watches_of_others": others,
    }


def why_document(waits: Sequence[Mapping[str, Any]], silent: Sequence[str]) -> dict[str, object]:
    """`watch --why --json`."""
    rows = [{name: wait.get(name) for name in _OF_WHY} for wait in waits]
    return {"schema_version": SCHEMA_VERSION, "waits": rows, "not_answering": list(silent)}


def stopped_document(ended: Sequence[str]) -> dict[str, object]:
    """`watch --stop --json`."""
    return {"schema_version": SCHEMA_VERSION, "stopped": list(ended)}


_OF_STATUS = (
    "run_id",
    "state",
    "started",
    "watch",
    "release",
    "saved",
    "countdown_until",
    "guard_pid",
    "folder",
)
_OF_WHY = ("run_id", "job", "state", "looked_s", "wait", "signs")


# --- parts --------------------------------------------------------------------------------------------


def _paragraphs(said: Sequence[Text], paper: Paper) -> list[Line]:
    return [line for text in said for line in paper.wrapped(text, later="  ")]


def _signs(names: Sequence[str]) -> Text:
    return listed([SIGNS.get(name, name) for name in names])


def _spelled(seconds: float | None) -> Text:
    seconds = max(0.0, seconds or 0.0)
    return spelled(round(seconds, 1) if seconds < 10 else round(seconds))
