"""What the tests of the languages share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from launcher.i18n import LANGUAGES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRANSLATED = tuple(language for language in LANGUAGES if language != "en")


def load(path: Path):
    """A program of the repository as a module; it is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def catalogues():
    """tests/lang/catalogues.py."""
    return load(HERE / "catalogues.py")


@pytest.fixture(scope="session", params=TRANSLATED)
def language(request):
    return request.param
