"""Candidates: what several strategies found, merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.candidates import Found, RetrievalError, Retrieved, merged, retrieve_by
from agora.columns import Gather

COLUMNS: dict[str, Any] = {"k": np.array([5.0, 5.0])}


def _found(*rows: tuple[int, int, float]) -> Found:
    request, item, score = (np.array(part) for part in zip(*rows, strict=True))
    return Found(request, item, score)


def test_an_item_found_twice_is_one_candidate_with_both_scores() -> None:
    found = merged(
        {"near": _found((1, 7, 0.5), (0, 3, 0.9)), "new": _found((0, 3, 0.1), (0, 2, 0.2))}
    )
    assert found.request.tolist() == [0, 0, 1]
    assert found.item.tolist() == [2, 3, 7]
    np.testing.assert_array_equal(found.scores["near"], [np.nan, 0.9, 0.5])
    np.testing.assert_array_equal(found.scores["new"], [0.2, 0.1, np.nan])


def test_nothing_found_is_no_candidates() -> None:
    empty = Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found = merged({"near": empty}, skipped=("new",))
    assert len(found) == 0
    assert found.scores["near"].shape == (0,)
    assert found.skipped == ("new",)


def test_a_strategy_that_fails_is_skipped_and_named() -> None:
    def broken(_: Any) -> Found:
        raise FileNotFoundError("no encoder")

    strategies = {"near": broken, "new": lambda _: _found((0, 1, 1.0))}
    found = retrieve_by(strategies, COLUMNS)
    assert (found.skipped, list(found.scores)) == (("near",), ["new"])
    assert retrieve_by(strategies, COLUMNS, without=("near",)).skipped == ("near",)
    with pytest.raises(RetrievalError, match="near, new"):
        retrieve_by(strategies, COLUMNS, without=("new",))


def test_retrieved_columns_are_the_request_columns() -> None:
    columns = Retrieved(COLUMNS, merged({}))
    assert dict(columns) == COLUMNS
    assert Gather(("k",))(columns).tolist() == [[5.0, 5.0]]
