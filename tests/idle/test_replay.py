"""What each policy would have released when: by hand, and on what was recorded."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from helpers.life import moment
from launcher.errors import ColabRunError, ExitCode, UsageError
from launcher.idle import replay_peers as peers
from launcher.idle.model import Sample, Sign
from launcher.idle.recording import header_line
from launcher.idle.replay import NAMES, RUNTIME, STALLED, judge, rules, score
from launcher.idle.replay_session import Session, Tick
from launcher.replaying import RecordingError, replay_file
from launcher.report.lines import Paper
from launcher.report.replay import picture, replay_screen
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

ASSETS = Path(__file__).resolve().parents[1] / "assets"
MINUTE, HOUR = 60.0, 3600.0
SVG = "{http://www.w3.org/2000/svg}"


def session(*parts: tuple[float, object], period: float = MINUTE, censored: bool = False) -> Session:
    """Parts of (minutes, percent): a number, None for unknown, or a tuple with one of these for each GPU."""
    ticks: list[Tick] = []
    for minutes, percent in parts:
        cells: Sequence[Any] = percent if isinstance(percent, tuple) else (percent,)
        use = tuple(Unknown("not-supported") if cell is None else Known(float(cell)) for cell in cells)
        ticks += [Tick((len(ticks) + n) * period, use) for n in range(round(minutes * MINUTE / period))]
    return Session("made", tuple(ticks), len(ticks) * period, len(ticks[0].use), censored)


def released(name: str, window_s: float, made: Session, above: float = 0.0) -> float | None:
    """In minutes."""
    (rule,) = (rule for rule in rules(window_s, above) if rule.name == name)
    at = rule.released(made)
    return None if at is None else at / MINUTE


# --- ours -----------------------------------------------------------------------------------------


def test_ours_waits_for_the_first_work() -> None:
    """A job that downloads for two hours is not stalled; a runtime on which nobody runs a job is idle."""
    made = session((120, 0), (10, 90), (60, 0))
    # The last work is seen at minute 129.
    assert released(STALLED, 30 * MINUTE, made) == 159
    assert released(RUNTIME, 30 * MINUTE, made) == 30


def test_ours_learns_from_silences_that_ended() -> None:
    """A job that validates for 25 minutes is not stalled at 30 the next time: 3 times as long, or more."""
    made = session((2, 90), (25, 0), (2, 90), (60, 0))
    at = released(STALLED, 30 * MINUTE, made)
    assert released("fixed-armed", 30 * MINUTE, made) == 58
    assert at is None or at >= 28 + 3 * 26


def test_unknown_is_alive_for_ours_and_for_everybody() -> None:
    """A reading that is missing in the middle of a silence begins it anew."""
    made = session((5, 90), (20, 0), (1, None), (20, 0))
    for rule in rules(30 * MINUTE):
        assert rule.released(made) is None, rule.name
    # Nor is it work, for which some wait.
    for name in ("fixed-armed", "gpu-auto-shutdown"):
        assert released(name, 30 * MINUTE, session((10, None), (60, 0))) is None


# --- the rules of others, by hand -----------------------------------------------------------------


def test_fixed_windows() -> None:
    """From the start, or from the first work."""
    made = session((40, 0), (5, 90), (40, 0))
    assert released("fixed", 30 * MINUTE, made) == 30
    assert released("fixed-armed", 30 * MINUTE, made) == 74
    assert released("fixed", 50 * MINUTE, made) is None
    assert released("fixed", 30 * MINUTE, session((10, 1), (40, 0)), above=1) == 30


def test_skypilot_knows_its_queue_only() -> None:
    """A job that lives is never idle: not for a day."""
    assert released("skypilot", 5 * MINUTE, session((1440, 0))) is None


def test_dstack_takes_one_idle_gpu_of_many_for_idleness() -> None:
    """All samples of any one GPU below the minimum, over the whole window."""
    busy = session((60, (0, 95)))
    # The oldest sample may be a minute later than the window's start.
    assert released("dstack", 30 * MINUTE, busy) == 29
    assert released("gpumon-spot", 30 * MINUTE, busy) is None
    assert released(STALLED, 30 * MINUTE, busy) is None
    assert released("dstack", 30 * MINUTE, session((20, 0), (1, 10), (20, 0))) is None
    assert released("dstack", 30 * MINUTE, session((20, 0), (1, 9), (20, 0))) == 29


def test_dstack_keeps_samples_for_an_hour() -> None:
    """A longer window is none that it can have."""
    assert "dstack" in [rule.name for rule in rules(HOUR)]
    assert "dstack" not in [rule.name for rule in rules(1.5 * HOUR)]


def test_gpumon() -> None:
    """Up to 10 % is idle; it asks every 10 minutes, and not in the first two hours."""
    idle = session((200, 10))
    assert released("gpumon", HOUR, idle) == 120
    # 70 % of a window of 15 minutes are there after 10.
    assert released("gpumon-spot", 15 * MINUTE, idle) == 10
    assert released("gpumon-spot", 15 * MINUTE, session((200, 11))) is None
    # One line that is not idle vetoes as long as it is in the window.
    assert released("gpumon-spot", 15 * MINUTE, session((5, 0), (1, 50), (60, 0))) == 30


def test_gpumon_wants_most_lines_to_be_there() -> None:
    """Of a window of 15 minutes 70 % of the lines."""
    half = Session("made", tuple(Tick(at * MINUTE, (Known(0.0),)) for at in range(6)), 6 * MINUTE, 1, False)
    late = Session("made", (*half.ticks, Tick(20 * MINUTE, (Known(0.0),))), 21 * MINUTE, 1, False)
    assert peers.gpumon(late, 15 * MINUTE, 0.0) is None


def test_gpu_auto_shutdown() -> None:
    """Nothing before the mean was over 50 % for 5 minutes; then below 5 % for 20."""
    assert released("gpu-auto-shutdown", 20 * MINUTE, session((3, 90), (60, 0))) is None
    assert released("gpu-auto-shutdown", 20 * MINUTE, session((10, 50), (60, 0))) is None
    assert released("gpu-auto-shutdown", 20 * MINUTE, session((10, 90), (60, 4))) == 29
    assert released("gpu-auto-shutdown", 20 * MINUTE, session((10, 90), (60, 5))) is None
    # The mean of two GPUs hides that one of them is at rest.
    assert released("gpu-auto-shutdown", 20 * MINUTE, session((10, (90, 20)), (60, (8, 0)))) == 29


# --- judgement ------------------------------------------------------------------------------------


def test_a_release_is_false_when_work_went_on() -> None:
    """What would have been lost is the work after it; nothing is recovered."""
    made = session((10, 90), (40, 0), (5, 90), (5, 0))
    one = judge(made, 40 * MINUTE, 0.0)
    assert (one.false, one.recovered_s, one.lost_s) == (True, 0.0, 5 * MINUTE)


def test_a_release_that_was_right() -> None:
    """What is recovered is the rest of the session, of each GPU."""
    made = session((10, (90, 0)), (50, (0, 0)))
    one = judge(made, 40 * MINUTE, 0.0)
    assert (one.false, one.unproven, one.recovered_s, one.lost_s) == (False, False, 40 * MINUTE, 0.0)
    assert judge(made, None, 0.0).recovered_s == 0.0


def test_after_a_recording_nothing_is_known() -> None:
    """A release in a session that went on is not false as far as is known, and said to be unproven."""
    made = session((10, 90), (50, 0), censored=True)
    one = judge(made, 40 * MINUTE, 0.0)
    assert (one.false, one.unproven) == (False, True)
    assert not judge(session((10, 90), (50, 0), (1, 90), censored=True), 40 * MINUTE, 0.0).unproven


def test_a_score() -> None:
    """Sums over sessions; those whose GPU never worked are apart."""
    right = session((10, 90), (50, 0))
    wrong = session((10, 90), (40, 0), (10, 90))
    unused = session((60, 0))
    (rule,) = (rule for rule in rules(30 * MINUTE) if rule.name == "fixed")
    total = score(rule, [right, wrong, unused])
    assert (total.sessions, total.releases, total.false) == (3, 3, 1)
    assert total.false_per_100h == pytest.approx(100 / 3)
    # Released at minutes 39 and 30: 21 of the 90 idle minutes, and 30 of the 60 unused ones.
    assert total.recovered_percent == pytest.approx(100 * 21 / 90)
    assert total.unused_percent == pytest.approx(50)
    assert total.lost_s == 10 * MINUTE
    nothing = score(rules(30 * MINUTE)[4], [right])
    assert nothing.name == "skypilot"
    assert total.beats(nothing) is nothing.beats(total) is False


def test_better_is_better_on_both_axes() -> None:
    """More recovered alone is not better, nor fewer false ones alone."""
    sessions = [session((10, 90), (50, 0)), session((40, 0), (10, 90), (80, 0))]
    by_name = {rule.name: score(rule, sessions) for rule in rules(30 * MINUTE)}
    assert by_name[STALLED].beats(by_name["fixed"])
    assert not by_name["fixed"].beats(by_name[STALLED])
    assert not by_name["skypilot"].beats(by_name["fixed"])


# --- files, end to end ----------------------------------------------------------------------------


@pytest.fixture
def plato() -> str:
    return str(ASSETS / "traces" / "plato.jsonl.gz")


def test_a_federated_session(plato: str) -> None:
    """94 % idle with bursts: a fixed half hour would have ended it before its last work, ours not."""
    result = replay_file(plato, window_s=30 * MINUTE)
    assert (result.kind, result.sessions) == ("trace", 1)
    when = {name: at for name, _, at, _ in result.releases}
    assert when["fixed"] == when["fixed-armed"] == pytest.approx(6385.8)
    assert when[STALLED] is None
    document = result.as_json()
    assert document["policies"][0]["policy"] == STALLED
    (fixed,) = (row for row in document["policies"] if row["policy"] == "fixed")
    assert fixed["releases"] == [{"at_s": 6385.8, "false": True}]
    assert not any(row["better_than_ours"] for row in document["policies"])
    json.dumps(document, allow_nan=False)


def test_without_a_window_each_has_its_own(plato: str) -> None:
    """The windows that the others come with, and half an hour for ours."""
    windows = {name: window for name, window, _, _ in replay_file(plato).releases}
    assert windows[STALLED] == 30 * MINUTE
    assert (windows["gpumon"], windows["gpumon-spot"]) == (HOUR, 15 * MINUTE)
    assert (windows["dstack"], windows["gpu-auto-shutdown"]) == (HOUR, 20 * MINUTE)


def test_policies_by_name(plato: str) -> None:
    """Some of them; an unknown one, and a window that a named one cannot have, are refused."""
    result = replay_file(plato, policies=["dstack", "fixed"])
    assert [name for name, *_ in result.releases] == ["fixed", "dstack"]
    with pytest.raises(UsageError, match="dstacks") as unknown:
        replay_file(plato, policies=["dstacks"])
    assert all(name in unknown.value.hint for name in NAMES)
    with pytest.raises(UsageError, match="1 h 30 m"):
        replay_file(plato, window_s=1.5 * HOUR, policies=["dstack"])


def failed(path: Path) -> ColabRunError:
    with pytest.raises(ColabRunError) as caught:
        replay_file(str(path))
    assert str(path) in caught.value.what
    assert caught.value.hint
    return caught.value


def test_files_that_cannot_be_replayed(tmp_path: Path) -> None:
    """A file that is not there is a slip of the command line; one that holds nothing is a bad file."""
    assert failed(tmp_path / "none.csv").exit_code == ExitCode.USAGE
    assert failed(tmp_path).exit_code == ExitCode.USAGE
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"timestamp\n")[:12])
    for name in ("empty", "binary", "damaged.gz"):
        error = failed(tmp_path / name)
        assert isinstance(error, RecordingError)
        assert error.exit_code == ExitCode.JOB_FILE
        assert "line 1" in error.what


LOG = "timestamp, utilization.gpu [%]\n" + "".join(
    f"2026/11/22 {21 + minute // 60}:{minute % 60:02}:00.000, {97 if minute < 5 else 0} %\n"
    for minute in range(120)
)


@pytest.mark.parametrize(
    "data",
    [
        LOG.encode(),
        b"\xef\xbb\xbf" + LOG.replace("\n", "\r\n").encode(),
        b"\xff\xfe" + LOG.encode("utf-16-le"),
        gzip.compress(LOG.encode()),
        gzip.compress(LOG[:999].encode()) + gzip.compress(LOG[999:].encode()),
    ],
    ids=["plain", "utf-8 with mark", "utf-16", "gzip", "two gzips"],
)
def test_forms_of_one_file(tmp_path: Path, data: bytes) -> None:
    """The same log, as different tools leave it."""
    (tmp_path / "log").write_bytes(data)
    result = replay_file(str(tmp_path / "log"), window_s=30 * MINUTE, policies=[STALLED])
    assert result.releases == ((STALLED, 30 * MINUTE, 34 * MINUTE, False),)
    assert len(result.curve) == 120
    assert not result.remarks


def test_a_gzip_that_is_cut_off(plato: str, tmp_path: Path) -> None:
    """What is whole of it is read, and that there was more is said."""
    with gzip.open(plato) as file:
        line = file.read()
    (tmp_path / "cut.gz").write_bytes(gzip.compress(line * 2)[:-40])
    result = replay_file(str(tmp_path / "cut.gz"))
    assert result.sessions == 1
    assert "line 2: the file is cut off" in str(result.remarks[0])


KEPT, FREE = ({"left_s": left, "path": None} for left in (300.0, 0.0))


def recorded(*samples: tuple[float, dict[Sign, Any]]) -> str:
    lines = [header_line(Known(0), 15.0, "runtime")]
    lines += [Sample(moment(at), {s: Known(v) for s, v in signs.items()}).to_json() for at, signs in samples]
    return "\n".join([*lines, ""])


def test_a_recording_of_ours_is_judged_by_all_signs(tmp_path: Path) -> None:
    """The GPU is at rest all the time; somebody kept the machine for the first ten minutes."""
    path = tmp_path / "recording"
    path.write_text(
        recorded(
            *((at, {Sign.GPU: [], Sign.KEEP: KEPT if at < 600 else FREE}) for at in range(0, 3600, 15)),
        )
    )
    result = replay_file(str(path), window_s=15 * MINUTE)
    when = {name: at for name, _, at, _ in result.releases}
    assert when[RUNTIME] == pytest.approx(585 + 900, abs=16)
    # No sign of work was ever seen, and so no job has stalled.
    assert when[STALLED] is None


def test_a_stalled_job_is_judged_by_signs_of_work(tmp_path: Path) -> None:
    """A machine that somebody keeps is not idle; the job on it, which beat for ten minutes, has stalled."""
    path = tmp_path / "recording"
    path.write_text(
        recorded(
            *(
                (at, {Sign.KEEP: KEPT, Sign.BEAT: {"beat": moment(min(at, 600)).wall}})
                for at in range(0, 3600, 15)
            )
        )
    )
    result = replay_file(str(path), window_s=15 * MINUTE)
    when = {name: at for name, _, at, _ in result.releases}
    assert when[RUNTIME] is None
    assert when[STALLED] == pytest.approx(600 + 900, abs=16)


def test_life_after_a_release_makes_it_false(tmp_path: Path) -> None:
    """Also where it is not the GPU's."""
    path = tmp_path / "recording"
    path.write_text(
        recorded(*((at, {Sign.KEEP: KEPT if at in (0, 3000) else FREE}) for at in range(0, 3600, 15)))
    )
    releases = replay_file(str(path), window_s=15 * MINUTE, policies=[RUNTIME]).releases
    ((_, _, at, false),) = releases
    assert at == pytest.approx(900, abs=31)
    assert false


# --- as it is shown -------------------------------------------------------------------------------


def test_the_table_of_one_session(plato: str) -> None:
    """A line for each policy: when, and whether that would have been wrong."""
    result = replay_file(plato, window_s=30 * MINUTE)
    lines = [
        line.plain
        for line in replay_screen([(row.score, row.better) for row in result.rows], result.releases)
    ]
    assert len(lines) == 1 + len(NAMES)
    (fixed,) = (line for line in lines if line.startswith("fixed "))
    assert "after 1 h 46 m; work went on later" in fixed
    assert lines[1].split()[0] == STALLED
    assert "never" in lines[1]


def test_the_table_of_many_sessions(tmp_path: Path) -> None:
    """Sums and what they mean; what is better than ours is marked."""
    line = json.dumps({"id": "a", "t": list(range(0, 7200, 60)), "u": [90] * 5 + [0] * 115, "end": 7200})
    (tmp_path / "two").write_text(f"{line}\n{line}\n")
    result = replay_file(str(tmp_path / "two"), window_s=30 * MINUTE)
    sums = [(row.score, row.score.name == "fixed") for row in result.rows]
    text = "\n".join(line.plain for line in replay_screen(sums, result.releases, result.remarks))
    assert "fixed <" in text
    assert "< is better on both axes" in text
    assert "2 sessions at most went on after their recordings" in text


def test_the_picture_is_xml_and_always_the_same(plato: str) -> None:
    """Small, text alone, a mark for each release; names and translations cannot break it."""
    result = replay_file(plato, window_s=30 * MINUTE)
    releases = [*result.releases, ("<&>", 60.0, 120.0, False)]
    drawn = picture(result.curve, result.end_s, releases)
    assert drawn == picture(result.curve, result.end_s, releases)
    assert len(drawn) < 30_000
    tree = ElementTree.fromstring(drawn)
    said = [element.text for element in tree.iter(f"{SVG}text")]
    assert {"colab-run", "<&>", "never", "after 2 m"} <= set(said)
    assert len(list(tree.iter(f"{SVG}rect"))) == 2 + sum(at is not None for _, _, at, _ in releases)
    ElementTree.fromstring(picture([(0.0, None), (5.0, 50.0)], 10.0, [], Paper(lambda *_: "<時間>")))
    ElementTree.fromstring(picture([], 0.0, []))
