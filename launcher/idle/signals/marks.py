"""What somebody says: a heartbeat, `keep` and HOLD files, and runs that are at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign
from launcher.idle.signals.newest import NONSENSE, Newest, number, text
from launcher.values import Reading, Unknown
from launcher.words import counted, spelled, words

if TYPE_CHECKING:
    from launcher.idle.model import Life, Moment
    from launcher.words import Text


class BeatSignal:
    """Alive at the newest heartbeat; where there never was one, nobody beats, and that is no sign at all."""

    def __init__(self) -> None:
        self._newest = Newest()

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.BEAT

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("any heartbeat")

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading, `{"beat": epoch seconds or null}`."""
        if isinstance(reading, Unknown):
            return reading  # The next time of the file tells all.
        try:
            beat = None if reading.value["beat"] is None else number(reading.value["beat"])
        except (KeyError, TypeError, ValueError):
            return Unknown(NONSENSE)
        if beat is not None:
            self._newest.alive_at_epoch(beat, moment=moment)
        return self._newest.life()


class _NowSignal:
    """Alive now, or not; what is over counts as alive until it was seen to be no more."""

    def __init__(self) -> None:
        self._newest = Newest()
        self._was = False

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading."""
        try:
            shown = "" if isinstance(reading, Unknown) else self._shown(reading.value)
        except (KeyError, TypeError, ValueError):
            reading = Unknown(NONSENSE)
        if isinstance(reading, Unknown):
            self._newest.unknown(moment)
            return reading
        self._newest.known(made_good=False)
        if shown or self._was:
            self._newest.alive(moment.at)
        self._was = bool(shown)
        return self._newest.life(shown)

    def _shown(self, value: Any) -> Text:
        """What is alive now, empty where nothing is. Raises KeyError, TypeError and ValueError."""
        raise NotImplementedError


class KeepSignal(_NowSignal):
    """Alive while somebody keeps this runtime, by `keep` or by a HOLD file."""

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.KEEP

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("while somebody keeps this runtime")

    def _shown(self, value: Any) -> Text:
        """Of `{"left_s": seconds or null, "path": a HOLD file or null}`."""
        left_s, path = value["left_s"], value["path"]
        if path is not None:
            return words("held by {path}", path=text(path))
        if left_s is None or number(left_s) <= 0:
            return ""
        return words("kept for {time}", time=spelled(left_s))


class RunsSignal(_NowSignal):
    """Alive while a run is at work on this machine."""

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.RUNS

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("while a run is at work")

    def _shown(self, value: Any) -> Text:
        """Of a list of `{"run_id", "name"}`."""
        if not isinstance(value, list):
            raise TypeError("no list")
        named = [(text(row["run_id"]), text(row["name"])) for row in value]
        if not named:
            return ""
        if len(named) > 1:
            return counted("{count} run", "{count} runs", len(named))
        run_id, name = named[0]
        return words("{name} ({run_id})", name=name, run_id=run_id)
