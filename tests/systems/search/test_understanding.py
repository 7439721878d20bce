from __future__ import annotations

import numpy as np
import pytest

from agora.systems.search.categories import Categories
from agora.systems.search.understanding import priced


@pytest.mark.parametrize(
    ("query", "rest", "ceiling", "is_cheap"),
    [
        ("sofa under 200", "sofa", 200.0, False),
        ("cheap red shoes", "red shoes", np.inf, True),
        ("lamp up to €49,90 cheap", "lamp", 49.9, True),
        ("under 20", "under 20", np.inf, False),
        ("cheap", "cheap", np.inf, False),
        ("thunder 20", "thunder 20", np.inf, False),
        ("tent max 99 below 50", "tent", 50.0, False),
    ],
)
def test_what_is_said_of_the_price_is_no_word(
    query: str, rest: str, ceiling: float, is_cheap: bool
) -> None:
    assert priced(query) == (rest, ceiling, is_cheap)


def test_a_word_means_the_category_of_what_was_taken_after_it() -> None:
    taken = [
        (("lamp",), "home", 3.0),
        (("lamp", "red"), "home", 1.0),
        (("red", "boot"), "fashion", 1.0),
    ]
    learned = Categories.fit(taken, [(("guitar",), "music")] * 60)
    chances = dict(zip(learned.names, learned.chances(["lamp"]), strict=True))
    assert chances["home"] > 0.8
    assert learned.chances(["guitar"]).argmax() == learned.names.index("music")
    assert np.array_equal(learned.chances(["unknown"]), learned.shares)
    assert learned.chances(["red", "boot"]).sum() == pytest.approx(1.0)
