"""When a machine may say of another one that it is gone; and how a run is told from what is left of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from launcher.history import _look_there
from launcher.ledger.confirming import SLACK_S, confirm, is_gone
from launcher.ledger.mirror import Name, NotARow, Place, names_in, parse_name, read_row, write_rows, written
from launcher.ledger.model import Row, State
from launcher.ledger.past import past_run
from launcher.report.history import history_screen
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from pathlib import Path

RUN = "20261122-114501-3fa2"
OTHER = "20261122-120000-0001"
THEN = 1e9


def row(state: State, number: int = 1, wall: float = THEN, boot: str = "boot-1", **facts: object) -> Row:
    return Row(RUN, number, wall, boot, state, {"number": number, **facts})


def leave(folder: Path, *rows: Row) -> None:
    """Rows of a machine in a mirror."""
    told = write_rows(Place(str(folder)), [written(row, "host-1") for row in rows])
    assert told["why"] == ""


REQUESTED = row(State.REQUESTED, 1, confirm_s=10.0, give_up_after_s=300.0)
ACCEPTED = row(State.ACCEPTED, 2, confirm_s=10.0, give_up_after_s=300.0)


@pytest.mark.parametrize(
    ("last", "silent_s", "gone"),
    [
        (ACCEPTED, 10.0 + SLACK_S, False),
        (ACCEPTED, 10.0 + SLACK_S + 1.0, True),
        (REQUESTED, 10.0 + SLACK_S + 1.0, False),
        (REQUESTED, 310.0 + SLACK_S + 1.0, True),
        (row(State.REQUESTED, confirm_s=0.0, give_up_after_s=0.0, unmount_s=900.0), 890.0 + SLACK_S, False),
        (row(State.REQUESTED, confirm_s=0.0, give_up_after_s=0.0, unmount_s=900.0), 910.0 + SLACK_S, True),
        (ACCEPTED, -1e6, False),
        (row(State.ACCEPTED, confirm_s="soon"), 120.0 + SLACK_S + 1.0, True),
        *((row(state), 1e6, False) for state in State if state not in (State.REQUESTED, State.ACCEPTED)),
    ],
)
def test_silence_has_to_last(last: Row, silent_s: float, gone: bool) -> None:
    """As long as the old machine could still say something: that it is here, or that nobody answers."""
    assert is_gone(last, "boot-2", THEN + silent_s) is gone
    assert is_gone(last, "boot-1", THEN + silent_s) is False


@pytest.mark.parametrize(
    ("states", "confirms"),
    [
        ("requested accepted", True),
        ("requested accepted done", True),
        ("requested accepted still-here", False),
        ("requested accepted kept", False),
        ("requested failed", False),
        ("requested failed accepted", True),
        ("held", False),
        ("planned started", False),
    ],
)
def test_the_last_word_counts(tmp_path: Path, states: str, confirms: bool) -> None:
    """Once, and never by a machine of the same boot."""
    leave(tmp_path, *(row(State(state), at) for at, state in enumerate(states.split(), start=1)))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert confirm(str(tmp_path), "boot-1", "host-1", THEN + 1e6) == []
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 1e6) == ([RUN] if confirms else [])
    assert confirm(str(tmp_path), "boot-3", "host-3", THEN + 1e6) == []
    new = [path.name for path in tmp_path.iterdir() if path.name not in before]
    assert len(new) == int(confirms)


@pytest.mark.parametrize(
    ("states", "done", "confirms"),
    [
        ("requested", "accepted", True),  # Another run's release was.
        ("held", "accepted", True),
        ("", "accepted", True),
        ("requested accepted", "accepted", True),
        ("requested accepted", "kept", False),  # A person stopped it after all.
        ("requested", "failed", False),
        ("requested accepted still-here", "failed", False),
        ("", "not-asked", False),
        ("", None, False),
    ],
)
def test_what_a_run_says_at_its_end_counts(
    tmp_path: Path, states: str, done: str | None, confirms: bool
) -> None:
    """Where no row before it said the same; also for whoever reads what is told of it."""
    rows = [row(State(state), at, THEN + at) for at, state in enumerate(states.split(), start=1)]
    rows.append(row(State.DONE, 9, THEN + 9, status=done))
    leave(tmp_path, *rows)
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 1e6) == ([RUN] if confirms else [])
    release = told(*rows).release
    if done is not None:
        assert release.value.status == (rows[-2].state.value if "still-here" in states else done)
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 2e6) == []


def test_what_is_heard_after_a_confirmation_is_judged_anew(tmp_path: Path) -> None:
    """A machine that was only slow, and then was asked to go after all; by the same machine, too."""
    leave(tmp_path, REQUESTED)
    for boot in ("boot-2", "boot-3"):
        expected = [RUN] if boot == "boot-2" else []
        assert confirm(str(tmp_path), boot, "host-2", THEN + 1e6) == expected
    late = ACCEPTED._replace(wall=THEN + 2e6)
    leave(tmp_path, late)
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 2e6) == []
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 3e6) == [RUN]
    assert confirm(str(tmp_path), "boot-3", "host-3", THEN + 3e6) == []
    rows = [read_row(str(tmp_path), name) for name in names_in(str(tmp_path))[0][RUN]]
    assert sorted(at.state.value for at in rows) == ["accepted", "confirmed", "confirmed", "requested"]
    assert (told(*rows).release.value.status, told(*rows).release.value.heard) == ("confirmed", True)


def test_a_run_of_many_rows_is_confirmed_once(tmp_path: Path) -> None:
    """Also where its last rows come behind the number that a confirmation has."""
    leave(tmp_path, ACCEPTED._replace(seq=140))
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 1e6) == [RUN]
    assert confirm(str(tmp_path), "boot-3", "host-3", THEN + 1e6) == []


def test_who_confirms_says_what_it_saw(tmp_path: Path) -> None:
    """Another machine reads who, when, and how long it had been silent."""
    leave(tmp_path, ACCEPTED._replace(facts={**ACCEPTED.facts, "nonce": "abc"}))
    confirm(str(tmp_path), "boot-2", "host-2", THEN + 1000.0)
    runs, foreign = names_in(str(tmp_path))
    said = read_row(str(tmp_path), runs[RUN][-1])
    assert (said.boot_id, said.facts["host"], said.wall) == ("boot-2", "host-2", THEN + 1000.0)
    assert (said.facts["accepted"], said.facts["silent_s"], said.facts["nonce"]) == (True, 1000.0, "abc")
    assert foreign == []


def test_a_damaged_row_confirms_nothing(tmp_path: Path) -> None:
    """Others in the same folder are looked at all the same."""
    leave(tmp_path, ACCEPTED, ACCEPTED._replace(run_id=OTHER))
    (tmp_path / f"{RUN}-02-accepted.json").write_text("[]")
    assert confirm(str(tmp_path), "boot-2", "host-2", THEN + 1e6) == [OTHER]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Nothing is made of it."""
    assert confirm(str(tmp_path / "no"), "boot-2", "host-2", THEN) == []
    assert list(tmp_path.iterdir()) == []


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [*(state.value for state in State), "receipt"])
@pytest.mark.parametrize("by", ["", "0123abcd", "deadbeef"])
def test_a_name_says_what_it_is(state: str, by: str) -> None:
    """There and back."""
    name = Name(RUN, 7, state, by)
    assert parse_name(str(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        f"{RUN}-07-ended (1).json",
        f"{RUN}-ended.json",
        f"{RUN}-07-ended.json.part",
        "x",
        f"{RUN}-07-eaten.json",
    ],
)
def test_what_is_no_row(name: str) -> None:
    """Copies that Drive makes are none."""
    assert parse_name(name) is None


def test_a_file_is_written_once(tmp_path: Path) -> None:
    """Whoever comes later with the same name changes nothing."""
    leave(tmp_path, row(State.ENDED, outcome="failed"))
    leave(tmp_path, row(State.ENDED, outcome="succeeded"))
    (name,) = names_in(str(tmp_path))[0][RUN]
    assert read_row(str(tmp_path), name).facts["outcome"] == "failed"
    assert [path.name for path in tmp_path.iterdir()] == [str(name)]


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    """Of the run that is taken over; another one may be writing just now."""
    for run_id in (RUN, OTHER):
        (tmp_path / f".{run_id}-03-ended.json.0123abcd.part").write_text("half")
    told = write_rows(Place(str(tmp_path)), [written(row(State.ENDED, 3), "host-1")], RUN)
    assert told["names"] == [f"{RUN}-03-ended.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f".{OTHER}-03-ended.json.0123abcd.part",
        f"{RUN}-03-ended.json",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"version": 1}', "\udc80", "[" * 100_000],
)
@pytest.mark.parametrize("key", [None, "wall", "number", "run_id", "state", "facts", "boot_id"])
def test_a_row_that_is_none_is_an_error_of_its_own(tmp_path: Path, text: str, key: str | None) -> None:
    """Whatever is in the file, and whichever part of a row is not what it should be."""
    name = Name(RUN, 3, "ended")
    path = tmp_path / str(name)
    if key is None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    else:
        leave(tmp_path, row(State.ENDED, 3))
        told = json.loads(path.read_text())
        path.write_text(json.dumps({**told, key: text}))
    if key == "boot_id":
        return  # Any text is one.
    with pytest.raises(NotARow):
        read_row(str(tmp_path), name)


# --- a run as it is told --------------------------------------------------------------------------


def told(*rows: Row, **document: object) -> object:
    return past_run(RUN, rows, document, places=("local",), receipt=None, guarded=False)


def test_confirmed_and_then_still_here() -> None:
    """The later word counts: a machine that was slow to say that it is here takes the confirmation back."""
    confirmed = row(State.CONFIRMED, 99, THEN + 50, "boot-2", accepted=True)
    late = row(State.STILL_HERE, 3, THEN + 60)
    assert told(ACCEPTED, confirmed).release.value.status == "confirmed"
    assert told(ACCEPTED, late, confirmed).release.value.status == "still-here"


def test_the_story_of_a_run() -> None:
    """Its own id where it resumes from nothing; else what its rows say."""
    assert (told(row(State.PLANNED)).story, told(row(State.PLANNED)).resumed_from) == (RUN, None)
    started = row(State.STARTED, 2, story=OTHER, resumed_from=OTHER)
    assert (told(row(State.PLANNED, story=RUN), started).story, told(started).resumed_from) == (OTHER, OTHER)


def test_what_rows_of_an_older_version_lack_is_in_the_document() -> None:
    """They had neither duration nor units nor what was saved."""
    document = {
        "job": "old",
        "state": "done",
        "outcome": "succeeded",
        "exit_code": 0,
        "duration_s": 2.5,
        "compute_units": {"unknown": "no-rate"},
        "saved": [{"to": "/x", "files": 2, "bytes": 7, "complete": True}],
        "release": {"status": "kept", "reason": "ended-by-person"},
    }
    old = Row(RUN, 1, THEN, "boot-1", State.PLANNED, {"name": "old"})
    run = told(old, **document)
    assert (run.name, run.duration_s, run.units) == ("old", Known(2.5), Unknown("no-rate"))
    assert run.saved.value == (2, 7, True, ("/x",))
    assert (run.release.value.status, run.release.value.reason) == ("kept", "ended-by-person")


HUGE = pytest.param(10**400, id="huge")
ODD = [HUGE, -1, 2**63, float("nan"), 1e400, -1e400]


@pytest.mark.parametrize("value", [*ODD, json.loads("[" * 40 + "]" * 40)])
def test_a_row_with_what_nobody_can_pass_on_is_damaged(tmp_path: Path, value: object) -> None:
    """However deep in its facts: the rows beside it are none the worse."""
    folder = tmp_path / "mirror"
    leave(folder, row(State.PLANNED, 1, name="x"), row(State.ENDED, 2, saved=[{"bytes": value}]))
    found = _look_there(str(folder), "boot-2", "host-2", THEN)
    json.dumps(found, allow_nan=False)
    assert [told["state"] for told in found["rows"]] == ["planned"]
    assert found["problems"] == [(str(folder / f"{RUN}-02-ended.json"), "damaged")]


def test_a_name_with_line_breaks_is_one_line() -> None:
    """In the table; as JSON it is what it is."""
    run = told(row(State.PLANNED, name="a\nb\u2028c", resumed_from="d\ne"), row(State.KEPT, 2, reason="f\ng"))
    lines = history_screen([run], [("h\ni", "name")])
    assert next(line.plain.split() for line in lines if "a" in line.plain.split())[2:5] == ["a", "b", "c"]
    assert not [line.plain for line in lines if len(line.plain.splitlines()) > 1]
    assert run.name == "a\nb\u2028c"


@pytest.mark.parametrize(("state", "code"), [("done", 75), ("releasing", 0)])
def test_the_code_of_a_run_is_the_last_that_it_had(state: str, code: int) -> None:
    """A job that went well ends with 75 where its release did not: by its document, and by its rows."""
    ended = row(State.ENDED, 2, outcome="succeeded", exit_code=0)
    failed = row(State.FAILED, 3, exit_code=75, decided_by="colab-run")
    confirmed = row(State.CONFIRMED, 99, THEN + 50, "boot-2", exit_code=1)
    assert told(ended).exit_code == Known(0)
    assert told(ended, failed, confirmed).exit_code == Known(75)
    assert told(ended, failed, state=state, exit_code=code).exit_code == Known(75)
    assert told(ended, state=state, exit_code=code).exit_code == Known(code)


@pytest.mark.parametrize("value", [True, "x", [], {}, None, *ODD])
def test_odd_facts_are_not_known(value: object) -> None:
    """What another machine wrote is taken for what it can be, and never an exception."""
    facts = dict.fromkeys(
        ("name", "story", "outcome", "exit_code", "duration_s", "compute_units", "rate", "saved"), value
    )
    run = told(row(State.PLANNED, **facts), row(State.ENDED, 2, **facts), row(State.SAVED, 3, **facts))
    json.dumps(run.as_json(), allow_nan=False)
    odd = told(row(State.ACCEPTED, **dict.fromkeys(("http_status", "attempts", "reason", "asked_by"), value)))
    json.dumps(odd.as_json(), allow_nan=False)
