from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from agora.items import item_key
from agora.shopping.history import EVENTS, KEYS, KINDS, TIMES, again, codes_of, steps_of

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
NAN = float("nan")


def columns(*sessions: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Visitors who clicked `a` an hour ago, and nothing before."""
    n = len(sessions)
    seconds = NOW.timestamp()
    found = {name: np.full(n, NAN) for part in (KEYS, KINDS, TIMES) for name in part.names}
    first = (float(item_key("a")), 0.0, seconds - 3_600)
    for part, value in zip((KEYS, KINDS, TIMES), first, strict=True):
        found[part.names[0]] = np.full(n, value)
    session = np.empty(n, object)
    session[:] = sessions
    return {**found, "session": session, "event_at": np.full(n, int(seconds * 1e6))}


def test_a_visit_stands_before_the_interests_the_newest_first() -> None:
    visit = [{"product_id": "b", "kind": "click"}, {"product_id": "c", "kind": "cart"}]
    keys, kinds, times = steps_of(columns(visit, None))
    assert keys[0, :3].tolist() == [item_key("c"), item_key("b"), item_key("a")]
    assert kinds[0, :3].tolist() == [1, 0, 0]
    assert (NOW.timestamp() - times[0, :3]).tolist() == [0, 0, 3_600]
    assert np.isnan(keys[1, :2]).all()
    assert keys[1, 2] == item_key("a")


def test_without_a_visit_there_are_only_interests() -> None:
    keys, _, _ = steps_of(columns(None, []))
    assert keys.shape == (2, len(KEYS.names))


def test_of_a_long_visit_the_end_counts() -> None:
    visit = [{"product_id": str(number), "kind": "click"} for number in range(EVENTS + 6)]
    keys, _, _ = steps_of(columns(visit))
    assert keys[0, 0] == item_key(str(EVENTS + 5))
    assert keys[0, EVENTS] == item_key("a")


def test_the_same_step_again_is_the_later_column_of_the_same_kind() -> None:
    keys, kinds = np.array([[1.0, 2.0, 1.0, 1.0, NAN, NAN]]), np.array([[0.0, 0, 0, 1, NAN, NAN]])
    assert again(keys, kinds).tolist() == [[False, False, True, False, False, False]]
    assert codes_of(np.array([0.0, 2.0, 7.0, NAN])).tolist() == [0, 2, 2, 0]
