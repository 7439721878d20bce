from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from agora.shopping.outcomes import outcomes
from tests.shopping.log import ANSWER, LATER, lake_of

if TYPE_CHECKING:
    from pathlib import Path


def test_outcomes_name_the_list_by_either_id(tmp_path: Path) -> None:
    found = outcomes(lake_of(tmp_path), LATER)
    by_answer = found.filter(pl.col("prediction_id").is_not_null())
    assert by_answer["prediction_id"].to_list() == [ANSWER]
    bought = found.filter(source="purchase")
    assert bought["request_id"].to_list() == ["l1"]
    assert bought["precedence"][0] > found.filter(source="cart")["precedence"][0]
