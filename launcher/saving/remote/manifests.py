"""What every way to a store asks: is a source still what was listed, and what does the manifest say?"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.saving.listing import identity_of, unit_of
from launcher.saving.model import Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.saving.listing import Entry, Listing
    from launcher.saving.model import FileRow, Order


def unchanged(entry: Entry) -> bool:
    """Is the source still the file that was listed, as it was?"""
    try:
        return identity_of(os.stat(entry.source)) == entry.identity
    except OSError:
        return False


def manifest_of(
    order: Order, listing: Listing, rows: Mapping[str, FileRow], before: Manifest | None
) -> Manifest:
    """The new state: `rows`, and of unsettled units the links and folders that were there `before`."""
    links, folders = list(listing.links), list(listing.folders)
    if before is not None:
        links += [row for row in before.links if unit_of(row[0]) in listing.unsettled]
        folders += [path for path in before.folders if unit_of(path) in listing.unsettled]
    return Manifest(
        run_id=order.run_id,
        story=order.story,
        saved=iso_utc(time.time()),
        files=tuple(row for _, row in sorted(rows.items())),
        links=tuple(sorted(links)),
        folders=tuple(sorted(folders)),
        single=listing.single,
    )
