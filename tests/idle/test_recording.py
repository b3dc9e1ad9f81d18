"""What is read of a recording, a log of nvidia-smi or a trace, however odd; and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers.life import moment
from launcher.idle.model import Sample, Sign
from launcher.idle.recording import Header, header_line, read
from launcher.idle.replay_session import BadRecording, Recording
from launcher.values import Known, Unknown

HEADER = "timestamp, index, utilization.gpu [%], memory.used [MiB]\n"


def log(text: str) -> Recording:
    return read(text.splitlines(keepends=True), "log.csv")


def uses(recording: Recording) -> list[tuple[float, ...]]:
    """Of a file that holds one session: a row a tick, -1 for what is not known."""
    (session,) = recording.sessions
    return [
        tuple(use.value if isinstance(use, Known) else -1.0 for use in tick.use) for tick in session.ticks
    ]


def times(recording: Recording) -> list[float]:
    return [round(tick.at, 3) for tick in recording.sessions[0].ticks]


def said(recording: Recording) -> list[str]:
    return [str(remark) for remark in recording.remarks]


def refused(text: str) -> BadRecording:
    with pytest.raises(BadRecording) as caught:
        log(text)
    assert str(caught.value.advised), "no next step"
    return caught.value


# --- logs of nvidia-smi ---------------------------------------------------------------------------


def test_a_plain_log() -> None:
    """One GPU, a line every 5 s; the recording ended before anybody knows how it went on."""
    recording = log(
        HEADER
        + "2026/11/22 21:00:01.123, 0, 97 %, 15360 MiB\n"
        + "2026/11/22 21:00:06.130, 0, 0 %, 15360 MiB\n"
        + "2026/11/22 21:00:11.140, 0, 3 %, 2 MiB\n"
    )
    (session,) = recording.sessions
    assert (recording.kind, session.gpus, session.censored) == ("nvidia-smi", 1, True)
    assert times(recording) == [0.0, 5.007, 10.017]
    assert session.end == pytest.approx(10.017)
    assert uses(recording) == [(97.0,), (0.0,), (3.0,)]
    assert not recording.remarks


@pytest.mark.parametrize(
    "text",
    [
        "index, name, timestamp, power.draw [W], utilization.gpu [%]\n"
        "0, Tesla T4, 2026/11/22 21:00:01.123, 27.10 W, 42 %\n",
        "timestamp, utilization.gpu\n2026/11/22 21:00:01.123, 42\n",
        "utilization.gpu [%],timestamp\r\n42 %,2026/11/22 21:00:01.123\r\n",
        "\ufefftimestamp, utilization.gpu [%]\n\n2026/11/22 21:00:01, 42 %\n",
        "timestamp,utilization.gpu\n2026-11-22T21:00:01Z,42.0\n",
        '"timestamp", "utilization.gpu [%]"\n"2026-11-22 21:00:01", "42 %"\n',
    ],
    ids=["order", "no units", "crlf", "byte order mark", "iso", "quotes"],
)
def test_forms_of_one_line(text: str) -> None:
    """Columns in any order, with or without units, ends of lines and times of other tools."""
    assert uses(log(text)) == [(42.0,)]
    assert not log(text).remarks


def test_several_gpus_are_one_tick() -> None:
    """Lines of one round belong together, though each has a time of its own; a GPU may be missing."""
    recording = log(
        HEADER
        + "2026/11/22 21:00:00.100, 0, 1 %, 2 MiB\n"
        + "2026/11/22 21:00:00.180, 1, 2 %, 2 MiB\n"
        + "2026/11/22 21:00:15.100, 1, 4 %, 2 MiB\n"
        + "2026/11/22 21:00:30.100, 0, 5 %, 2 MiB\n"
        + "2026/11/22 21:00:30.190, 1, 6 %, 2 MiB\n"
    )
    assert uses(recording) == [(1.0, 2.0), (-1.0, 4.0), (5.0, 6.0)]
    assert times(recording) == [0.0, 15.0, 30.0]


def test_several_gpus_that_nothing_tells_apart() -> None:
    """Bursts of lines without an index are refused: they are no series of one GPU."""
    lines = "".join(
        f"2026/11/22 21:0{minute}:00.{gpu}00, {gpu} %\n" for minute in range(5) for gpu in range(2)
    )
    bad = refused("timestamp, utilization.gpu [%]\n" + lines)
    assert "line 2" in str(bad)
    assert "index" in str(bad.advised)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("[N/A]", "not-supported"),
        ("N/A", "not-supported"),
        ("[Not Supported]", "not-supported"),
        ("[Unknown Error]", "driver-error"),
        ("[GPU requires reset]", "driver-error"),
        ("ERR!", "driver-error"),
        ("140 %", "nonsense"),
        ("-3 %", "nonsense"),
        ("4O %", "nonsense"),
    ],
)
def test_what_is_no_figure_is_unknown(cell: str, reason: str) -> None:
    """Never 0: an unknown GPU is not an idle one."""
    recording = log(
        HEADER + f"2026/11/22 21:00:01.123, 0, 1 %, 2 MiB\n2026/11/22 21:00:06.123, 0, {cell}, 2 MiB\n"
    )
    assert recording.sessions[0].ticks[1].use == (Unknown(reason),)


def test_a_log_that_never_knows() -> None:
    """It is read, and what follows from it is said."""
    recording = log(HEADER + "2026/11/22 21:00:01.123, 0, [N/A], 2 MiB\n")
    assert uses(recording) == [(-1.0,)]
    assert "line 2: utilisation is never known" in said(recording)[0]


def test_headers_again() -> None:
    """Logs that were appended to each other; the later columns hold for the later lines."""
    recording = log(
        HEADER
        + "2026/11/22 21:00:00.000, 0, 7 %, 2 MiB\n"
        + HEADER
        + "2026/11/22 21:00:05.000, 0, 8 %, 2 MiB\n"
        + "timestamp, utilization.gpu [%], index\n"
        + "2026/11/22 21:00:10.000, 9 %, 0\n"
    )
    assert uses(recording) == [(7.0,), (8.0,), (9.0,)]
    assert not recording.remarks


@pytest.mark.parametrize(
    "half",
    [
        "2026/11/22 21:0",
        "2026/11/22 21:00:05.000, 0",
        "2026/11/22 21:00:05.000, 0, 1",
        "2026/11/22 21:00:05.000, 0, 10 %, 2",
    ],
)
def test_a_log_that_is_cut_off(half: str) -> None:
    """It is read up to there, and so it is said, with the line."""
    recording = log(HEADER + "2026/11/22 21:00:00.000, 0, 7 %, 2 MiB\n" + half)
    whole = half.count(",") == HEADER.count(",")
    assert uses(recording) == ([(7.0,), (10.0,)] if whole else [(7.0,)])
    assert said(recording) == (
        [] if whole else ["line 3: the file is cut off here; it is read up to this line"]
    )


def test_half_a_figure_is_not_taken_for_a_whole_one() -> None:
    """`1` may be the beginning of `100 %`."""
    recording = log(
        "timestamp, utilization.gpu [%]\n2026/11/22 21:00:00.000, 7 %\n2026/11/22 21:00:05.000, 1"
    )
    assert uses(recording) == [(7.0,)]
    assert "line 3: the file is cut off" in said(recording)[0]


def test_what_a_driver_prints_between() -> None:
    """A line that is none of a GPU is left out and said; many of them are counted."""
    lost = "Unable to determine the device handle for GPU 0000:00:04.0: Unknown Error\n"
    recording = log(HEADER + "2026/11/22 21:00:00.000, 0, 7 %, 2 MiB\n" + lost * 5)
    assert uses(recording) == [(7.0,)]
    assert said(recording)[0] == "line 3: this is no line of a GPU; it is left out"
    assert said(recording)[-1] == "2 more lines like these"
    assert len(said(recording)) == 4


def test_a_clock_that_is_set_back() -> None:
    """Time goes on from where it was: nothing is idle for longer than somebody watched."""
    recording = log(
        HEADER
        + "2026/11/22 02:59:50.000, 0, 7 %, 2 MiB\n"
        + "2026/11/22 02:00:00.000, 0, 8 %, 2 MiB\n"
        + "2026/11/22 02:00:10.000, 0, 9 %, 2 MiB\n"
    )
    assert times(recording) == [0.0, 0.0, 10.0]
    assert "line 3" in said(recording)[0]


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("", 1, "--record"),
        ("\n \n", 1, "--record"),
        ("2026/11/22 21:00:00.000, 0, 7 %\n", 1, "names"),
        ("index, utilization.gpu [%]\n0, 7 %\n", 1, "timestamp"),
        ("timestamp, index\n2026/11/22 21:00:00.000, 0\n", 1, "utilization.gpu"),
        (HEADER, 1, "longer"),
        ('{"what": 1}\n', 1, "--record"),
        ('{"t": [0, 5], "u": [1]}\n', 1, "same length"),
        ('{"t": [5, 0], "u": [1, 1], "end": 9}\n', 1, "rising"),
    ],
)
def test_what_cannot_be_replayed(text: str, line: int, advice: str) -> None:
    """It is said with its line, and with what to do."""
    bad = refused(text)
    assert bad.line == line
    assert advice in str(bad.advised)


# --- traces ---------------------------------------------------------------------------------------


def trace(**fields: Any) -> str:
    return (
        json.dumps({"id": "a", "t": [0, 5, 10], "u": [0, 50, 0], "end": 15, "censored": False} | fields)
        + "\n"
    )


def test_traces() -> None:
    """A session a line; broken ones are left out, half a line at the end too."""
    recording = log(trace() + "{broken}\n" + trace(id="b", ngpu=2, censored=True) + trace()[:40])
    assert [(s.name, s.gpus, s.censored, s.end) for s in recording.sessions] == [
        ("a", 1, False, 15.0),
        ("b", 2, True, 15.0),
    ]
    assert said(recording) == [
        "line 2: this is no session of a trace; it is left out",
        "line 4: the file is cut off here; it is read up to this line",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        '"t": [0, 1e400]',
        '"t": [-1e400, 0]',
        '"t": [0, NaN]',
        '"t": [0, 1' + "0" * 400 + "]",
        '"end": 1e400',
        '"end": NaN',
        '"ngpu": 100000000',
        '"ngpu": 1025',
        '"ngpu": -1',
        '"ngpu": 1e400',
    ],
)
def test_a_trace_of_no_machine_is_left_out(fields: str) -> None:
    """Times without end and GPUs without number: no session, and no traceback."""
    made = '{"id": "a", "t": [0, 5], "u": [0, 50], "end": 15, "ngpu": 1, ' + fields + "}\n"
    assert "no session" in str(refused(made))
    assert [s.name for s in log(trace(id="b") + made).sessions] == ["b"]


def test_a_trace_of_many_gpus_and_moments_is_left_out() -> None:
    """Each alone could be; both together are more than fits."""
    many = {"t": list(range(5000)), "u": [0] * 5000, "end": 6000}
    assert log(trace(**many)).sessions[0].gpus == 1
    assert "no session" in str(refused(trace(**many, ngpu=1024)))


# --- recordings of ours ---------------------------------------------------------------------------


def sample(at: float, *percents: int | None) -> str:
    rows = [
        {
            "index": index,
            "polled": {"unknown": "timeout"} if now is None else {"known": {"now": now, "busy": 0}},
        }
        for index, now in enumerate(percents)
    ]
    return Sample(moment(at), {Sign.GPU: Known(rows), Sign.KEEP: Known({})}).to_json() + "\n"


def test_a_recording_of_ours() -> None:
    """What it says of the GPUs, and every sample for our own signals, with what the header says."""
    taken: list[tuple[Header, float]] = []

    def begin(header: Header, first: Sample) -> Any:
        return lambda one: taken.append((header, one.moment.at - first.moment.at))

    lines = [header_line(Known(2), 5.0, "job") + "\n", sample(100, 7, None), sample(105, 0, 3)]
    recording = read(lines, "mine", begin)
    assert uses(recording) == [(7.0, -1.0), (0.0, 3.0)]
    assert taken == [(Header(5.0, "job"), 0.0), (Header(5.0, "job"), 5.0)]
    assert recording.sessions[0].censored


def test_a_header_names_no_machine() -> None:
    """Recordings are sent to others."""
    header = json.loads(header_line(Unknown("not-read"), 15.0, "runtime"))
    assert header == {
        "kind": "colab-run recording",
        "v": 1,
        "gpus": {"unknown": "not-read"},
        "period_s": 15.0,
        "watched": "runtime",
    }


def test_recordings_in_one_file() -> None:
    """Each header, and each clock that begins anew, begins another session."""
    header = header_line(Known(1), 5.0, "runtime") + "\n"
    recording = read([header, sample(100, 1), sample(105, 2), header, sample(300, 3), sample(20, 4)], "mine")
    assert [(s.name, len(s.ticks)) for s in recording.sessions] == [("mine", 2), ("mine#2", 1), ("mine#3", 1)]


def test_a_damaged_recording() -> None:
    """What is no sample is left out, half a line at the end is said to be one."""
    recording = read([sample(100, 1), "{]\n", sample(105, 2), sample(110, 3)[:50]], "mine")
    assert uses(recording) == [(1.0,), (2.0,)]
    assert said(recording) == [
        "line 2: this is no sample; it is left out",
        "line 4: the file is cut off here; it is read up to this line",
    ]


@pytest.mark.parametrize("at", ["1e400", "NaN", "1" + "0" * 400])
def test_a_sample_of_no_time_is_left_out(at: str) -> None:
    """A clock has no such time."""
    odd = sample(105, 2).replace('"at": 105', f'"at": {at}')
    assert odd != sample(105, 2)
    recording = read([sample(100, 1), odd, sample(110, 3)], "mine")
    assert uses(recording) == [(1.0,), (3.0,)]
    assert said(recording) == ["line 2: this is no sample; it is left out"]


@pytest.mark.parametrize(
    "newer",
    [
        header_line(Known(1), 5.0, "runtime").replace('"v": 1', '"v": 2') + "\n",
        sample(100, 1).replace('"v": 1', '"v": 2'),
    ],
    ids=["header", "sample"],
)
def test_a_newer_version_is_refused(newer: str) -> None:
    """It may mean something else by the same names."""
    bad = refused(newer + sample(105, 1))
    assert "version 2" in str(bad)


def test_a_recording_without_samples() -> None:
    """A header alone is nothing to replay."""
    refused(header_line(Known(1), 5.0, "runtime") + "\n")
