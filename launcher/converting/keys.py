"""Hands out the keys of another tool's file; what nobody takes is listed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.converting.model import Draft  # noqa: TC001
from launcher.converting.quantities import cleaned
from launcher.spec.nodes import join
from launcher.spec.tree import Entry, Mapping, Node, Scalar, Sequence
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.words import Text

ONE_MACHINE = words("a job file describes one machine, the one that it runs on")
RENTS_NONE = words("colab-run runs on a machine that is there already, and rents none")
FILES = words(
    "nothing is mounted or synced here: copy it in `setup`, and say with `outputs` where results go"
)
NO_IMAGE = words("the job runs in the machine as it is; install what it needs in `setup`")
NO_SERVICE = words("a job runs to its end and serves nothing")
NO_QUEUE = words("nothing is queued here")
AS_USER = words("the job runs as the user who starts it")
NO_SETTING = words("there is no such setting here")
UNREADABLE = words("what stands there cannot be understood")


def _each(names: str, why: Text) -> dict[str, Text]:
    return dict.fromkeys(names.split(), why)


WHY: dict[str, Text] = {
    **_each("num_nodes nodes startup_order stop_criteria groups", ONE_MACHINE),
    **_each("infra cloud region regions zone instance_type instance_types backends fleets", RENTS_NONE),
    **_each(
        "availability_zones use_spot spot_policy creation_policy reservation network_tier pool", RENTS_NONE
    ),
    **_each("disk_tier local_disk accelerator_args instance_name vendor", RENTS_NONE),
    **_each("file_mounts storage_mounts volumes repos files repo storage", FILES),
    **_each("image image_id python registry_auth docker nvcc privileged entrypoint shell", NO_IMAGE),
    **_each("ide port ports service replicas model gateway https auth scaling probes", NO_SERVICE),
    **_each("rate_limits strip_prefix router version", NO_SERVICE),
    **_each("priority schedule queue", NO_QUEUE),
    "inactivity_duration": words("`release` says when the machine is handed back"),
    "user": AS_USER,
    "shm_size": words("shared memory is what the machine has"),
    **_each("labels tags", words("`name` is what a run is recognised by")),
    "event_callback": words("no one is called: `colab-run wait` ends when the run does"),
    "home_dir": words("the job has the home folder of the user who starts it"),
}


class Item:
    """One value with its key's place."""

    __slots__ = ("draft", "line", "node", "path")

    def __init__(self, draft: Draft, node: Node, line: int, path: str) -> None:
        self.draft, self.node, self.line, self.path = draft, node, line, path

    @property
    def text(self) -> str | None:
        """What stands there as text; None for nothing, a list or a mapping."""
        return None if not isinstance(self.node, Scalar) or self.node.is_null else self.node.text

    @property
    def empty(self) -> bool:
        """Whether the key has no value."""
        return isinstance(self.node, Scalar) and self.node.is_null

    def leave(self, why: Text | None = None) -> None:
        """It has no equivalent."""
        name = self.path.rsplit(".", 1)[-1].partition("[")[0]
        self.draft.leave(self.line, cleaned(self.path), why if why is not None else WHY.get(name, NO_SETTING))

    def keys(self) -> Keys | None:
        """The mapping that stands there, if one does."""
        return Keys(self.draft, self.node, self.path) if isinstance(self.node, Mapping) else None

    def items(self) -> list[Item]:
        """The items of a list; anything else is one item."""
        if not isinstance(self.node, Sequence):
            return [self]
        return [
            Item(self.draft, node, node.place.line, f"{self.path}[{at}]")
            for at, node in enumerate(self.node.items)
        ]

    def texts(self) -> list[str]:
        """The texts of a list, or the one text; what is something else is listed."""
        found = []
        for item in self.items():
            if item.text is not None:
                found.append(item.text)
            else:
                item.leave(UNREADABLE)
        return found


class Keys:
    """The entries of one mapping."""

    def __init__(self, draft: Draft, node: Mapping, path: str = "") -> None:
        self.draft, self.node, self.path = draft, node, path
        self._taken: set[str] = set()

    def take(self, name: str) -> Item | None:
        """The value under `name`."""
        entry = self.node.entries.get(name)
        self._taken.add(name)
        return self._item(entry) if entry is not None else None

    def every(self) -> Iterator[tuple[str, Item]]:
        """All entries, for a mapping whose keys are the user's own."""
        for name, entry in self.node.entries.items():
            self._taken.add(name)
            yield name, self._item(entry)

    def leave_rest(self) -> None:
        """List what nobody took."""
        for name, entry in self.node.entries.items():
            if name not in self._taken:
                self._item(entry).leave()

    def _item(self, entry: Entry) -> Item:
        return Item(self.draft, entry.value, entry.key.line, join(self.path, entry.written))
