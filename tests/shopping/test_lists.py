from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from agora.calibration import Calibration
from agora.shopping.lists import Lists, fit_examined, lists_of, looks, meaning

AT = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def lists() -> Lists:
    """Two lists whose rows alternate: of the first something was bought, of the second nothing."""
    frame = pl.DataFrame(
        {
            "request_id": ["l1", "l2", "l1", "l2"],
            "event_at": [AT] * 4,
            "customer_id": [None, "c1", None, "c1"],
            "product_id": ["p1", "p1", "p2", "p3"],
            "position": [1, 1, 2, 2],
            "propensity": [0.5, None, 0.1, None],
            "gain": [0, None, 3, None],
            "clicks": [1, 2, 3, 4],
        }
    )
    return lists_of(frame, ("request_id", "customer_id"), ("clicks",))


def test_rows_come_by_list(lists: Lists) -> None:
    assert lists.columns["request_id"].tolist() == ["l1", "l2"]
    assert lists.request.tolist() == [0, 0, 1, 1]
    assert lists.features[:, 0].tolist() == [1, 3, 2, 4]
    assert lists.gains.tolist() == [0, 3, 0, 0]
    assert lists.taken.tolist() == [True, False]
    assert len(np.unique(lists.customers)) == 2


def test_chosen_lists_keep_all_of_theirs(lists: Lists) -> None:
    second = lists.take(np.array([1]))
    assert second.columns["request_id"].tolist() == ["l2"]
    assert second.request.tolist() == [0, 0]
    assert second.features[:, 0].tolist() == [2, 4]
    assert np.isnan(second.propensities).all()


def test_what_was_taken_far_down_weighs_more_up_to_a_bound(lists: Lists) -> None:
    seen = np.array([1.0, 0.25])
    assert looks(lists, seen, most=5.0).tolist() == [1, 4, 1, 1]
    assert looks(lists, seen, most=3.0).tolist() == [1, 3, 1, 1]
    assert looks(lists, seen, most=5.0, power=0.5).tolist() == [1, 2, 1, 1]


def test_without_clicks_every_place_counts_as_looked_at(lists: Lists) -> None:
    nothing = lists.take(np.array([1]))
    assert fit_examined(nothing, np.array([0, 1]), 3).tolist() == [1, 1, 1]


def test_a_mean_score_means_a_chance_only_where_both_were_seen(lists: Lists) -> None:
    scores = np.array([2.0, 4.0, -2.0, -4.0])
    both = meaning(scores, lists.request, lists)(np.array([3.0, -3.0]))
    assert both[0] > both[1]
    nothing = lists.take(np.array([1]))
    assert meaning(scores[2:], nothing.request, nothing) == Calibration()
