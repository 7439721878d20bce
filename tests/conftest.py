"""What holds for every test: one leaves the library's logger as it found it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _logger_as_found() -> Iterator[None]:
    """A service that opened in this process took the logger's lines for itself."""
    library = logging.getLogger("agora")
    handlers, level, propagates = library.handlers, library.level, library.propagate
    yield
    library.handlers, library.propagate = handlers, propagates
    library.setLevel(level)
