from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.systems.fraud.network import EVENT_AT
from agora.systems.fraud.params import Params
from agora.systems.fraud.tuning import NETWORK, TREES, folds, search
from agora.tuning import Budget
from tests.systems.fraud.test_network import QUICK, payments

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("systems")


def test_a_fold_is_learned_from_what_came_before_it() -> None:
    matrix, labels = payments(2_000)
    at = np.random.default_rng(0).permutation(matrix[:, EVENT_AT])
    found = folds(at, labels)
    assert len(found) == 3
    for fold in found:
        assert at[fold.before].max() < at[fold.after].min()
    judged = np.concatenate([fold.after for fold in found])
    assert len(set(judged.tolist())) == len(judged) == pytest.approx(1_200, abs=10)


def test_without_frauds_or_a_budget_parameters_stay_as_they_are() -> None:
    matrix, labels = payments(500)
    params = Params()
    assert search(params, matrix, labels * 0, Budget(10)) == (params, {})
    assert search(params, matrix, labels, Budget(0)) == (params, {})


def test_a_search_gives_parameters_of_the_space_that_are_no_worse(tmp_path: Path) -> None:
    matrix, labels = payments(800, fraud_share=0.05)
    params = replace(
        Params(), usual_rounds=100, network=replace(QUICK, epochs=8, fewest_honest=100)
    )
    better, found = search(params, matrix, labels, Budget(6), storage=tmp_path / "trials.db")
    assert {name: tuned.trials for name, tuned in found.items()} == {"trees": 3, "network": 3}
    for owner, space, tuned in (
        (better, TREES, found["trees"]),
        (better.network, NETWORK, found["network"]),
    ):
        assert tuned.value >= tuned.first
        if tuned.value > tuned.first:
            assert {name: getattr(owner, name) for name in space} == tuned.values
    again, _ = search(params, matrix, labels, Budget(6), storage=tmp_path / "trials.db")
    assert again == better
