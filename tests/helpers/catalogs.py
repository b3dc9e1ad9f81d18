"""The catalogue that ships, read once."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from launcher.catalog.files import find_configs
from launcher.catalog.load import load_catalog

if TYPE_CHECKING:
    from launcher.catalog.model import Catalog


@functools.cache
def shipped() -> Catalog:
    return load_catalog(find_configs(os.environ))
