"""Loggers that survive a library which configures logging."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def loggers_kept() -> Iterator[None]:
    """Undo what the block does to existing loggers.

    MLflow's first look at a database runs Alembic, whose configuration switches off every logger
    that exists: alerts and failures would be written nowhere from then on.
    """
    loggers = [
        each for each in logging.root.manager.loggerDict.values() if hasattr(each, "disabled")
    ]
    switched_on = [each for each in loggers if not each.disabled]
    try:
        yield
    finally:
        for each in switched_on:
            each.disabled = False
