"""What visitors did last, as arrays: their interests as the store knows them, and this visit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.columns import Gather
from agora.entities.customers import INTERESTS
from agora.entities.sequences import KINDS as NAMES
from agora.items import item_key

if TYPE_CHECKING:
    from datetime import datetime

    from agora.pipeline import Columns

Array = np.ndarray[Any, Any]

STEPS = range(1, INTERESTS + 1)
KEYS = Gather([f"customer_product_{step}" for step in STEPS])
KINDS = Gather([f"customer_kind_{step}" for step in STEPS])
TIMES = Gather([f"customer_event_at_{step}" for step in STEPS])
MICROSECONDS = 1e6
# Of a long visit the end counts.
EVENTS = 24
CODES = {name: code for code, name in enumerate(NAMES)}
WORTH = np.array([1.0, 2.0, 3.0])
"""What a click, a cart and a purchase say of an interest; also the gain of what follows."""


def steps_of(columns: Columns) -> tuple[Array, Array, Array]:
    """Keys, kinds and times in epoch seconds: the visit's events, beside them the interests.

    Returns:
        (n, L) each, NaN where there is no step. Both parts have the newest first; L is that of the
        interests where nobody's visit has an event.
    """
    known = tuple(np.ascontiguousarray(part(columns).T) for part in (KEYS, KINDS, TIMES))
    visit = _visit(columns["session"], np.asarray(columns["event_at"]) / MICROSECONDS)
    if visit is None:
        return known[0], known[1], known[2]
    both = [np.concatenate([new, old], axis=1) for new, old in zip(visit, known, strict=True)]
    return both[0], both[1], both[2]


def codes_of(kinds: Array) -> Array:
    """Kinds as codes; one that is not known here yet counts as the nearest."""
    # What is not known is no more than nought, and the last code stands for all above.
    return np.fmin(np.fmax(kinds, 0.0), len(NAMES) - 1.0).astype(np.int64)


def again(keys: Array, kinds: Array) -> Array:
    """Whether an earlier column tells the same: the store may know what the visit says, (n, L)."""
    same = keys[:, :, None] == keys[:, None, :]  # (n, later, earlier); no NaN equals another
    same &= kinds[:, :, None] == kinds[:, None, :]
    return np.asarray(np.tril(same, -1).any(axis=2))


def _visit(session: Array, now: Array) -> tuple[Array, Array, Array] | None:
    """Keys, kinds and times of the visits' events, the newest first, (n, longest)."""
    visits = [list(reversed(each))[:EVENTS] if each else [] for each in session]
    sizes = np.array([len(visit) for visit in visits])
    longest = int(sizes.max(initial=0))
    if not longest:
        return None
    events = [event for visit in visits for event in visit]
    row, place = np.nonzero(np.arange(longest) < sizes[:, None])
    found = np.full((3, len(visits), longest), np.nan)
    found[0, row, place] = [item_key(event["product_id"]) for event in events]
    found[1, row, place] = [CODES[event["kind"]] for event in events]
    said = np.array([_seconds(event.get("at")) for event in events])
    # What has no time has just happened; a clock that is ahead makes no future.
    found[2, row, place] = np.fmin(said, now[row])
    return found[0], found[1], found[2]


def _seconds(at: datetime | None) -> float:
    return float("nan") if at is None else at.timestamp()
