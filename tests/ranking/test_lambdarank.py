from __future__ import annotations

from dataclasses import replace
from functools import cache
from time import process_time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.ranking.first_tier import FAR, FirstTier, pairs
from agora.ranking.lambdarank import Grouped, RankParams, train
from agora.ranking.metrics import judge, ndcg

if TYPE_CHECKING:
    from pathlib import Path

    from agora.boosting import Boosters

WIDTH = 6
NAMES = [f"input_{i}" for i in range(WIDTH)]
PARAMS = RankParams(rounds=40, rows_in_leaf=10)


def requests(count: int = 200, each: int = 20, seed: int = 0) -> Grouped:
    """What is wanted most rises with input 0 and where 1 and 2 agree; 5 is often unknown."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count * each, WIDTH))
    value = (
        1.5 * matrix[:, 0] + 2.0 * (matrix[:, 1] * matrix[:, 2] > 0) + rng.gumbel(size=len(matrix))
    )
    matrix[rng.random(len(matrix)) < 0.3, 5] = np.nan
    groups = np.repeat(np.arange(count), each)
    rank = np.argsort(np.argsort(-value.reshape(count, each), axis=1), axis=1).ravel()
    gains = np.select([rank < 1, rank < 3], [2, 1], 0)
    order = rng.permutation(len(matrix))
    return Grouped(matrix[order], gains[order], groups[order])


@cache
def fitted() -> Boosters:
    return train(requests(), NAMES, PARAMS)


def quality(model: Boosters | FirstTier, rows: Grouped) -> float:
    return float(np.nanmean(ndcg(judge(rows.groups, model.raw(rows.matrix), rows.gains, 10), 10)))


def test_trees_rank_later_requests_better_than_a_line_and_a_line_better_than_chance() -> None:
    later = requests(seed=1)
    line = FirstTier.fit(requests())
    chance = np.random.default_rng(0).normal(size=len(later.groups))
    by_chance = float(np.nanmean(ndcg(judge(later.groups, chance, later.gains, 10), 10)))
    assert quality(fitted(), later) > quality(line, later) + 0.03
    assert quality(line, later) > by_chance + 0.15


def test_a_line_cuts_far_inputs_off_and_takes_unknown_ones_as_it_learned() -> None:
    mean, spread = np.array([1.0, -2.0, 5.0]), np.array([2.0, 0.5, np.inf])
    line = FirstTier(mean, 1 / spread, np.array([0.3, -0.7, 0.4]), np.array([0.1, 0.2, 0.9]))
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 3)) * [20, 3, 1]
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    matrix[:2] = np.inf, -np.inf, 0.0
    scaled = np.clip((matrix - mean) / spread, -FAR, FAR)
    known = np.where(np.isnan(matrix), line.missing, scaled * line.weights)
    np.testing.assert_allclose(line.raw(matrix), known.sum(axis=1), atol=1e-12)


def test_the_order_of_the_rows_changes_nothing() -> None:
    rows = requests(60)
    order = np.random.default_rng(3).permutation(len(rows.groups))
    # Within a request rows must keep their order: sums of equal numbers then are equal.
    order = order[np.argsort(rows.groups[order], kind="stable")]
    straight = np.argsort(rows.groups, kind="stable")
    shuffled = Grouped(rows.matrix[straight], rows.gains[straight], rows.groups[straight])
    first, again = (train(part, NAMES, replace(PARAMS, rounds=5)) for part in (rows, shuffled))
    np.testing.assert_array_equal(first.raw(rows.matrix), again.raw(rows.matrix))


def test_an_input_that_may_only_rise_never_lowers_a_row() -> None:
    params = replace(PARAMS, rising=("input_0",), falling=("input_3",))
    model = train(requests(), NAMES, params)
    base = requests(5, seed=2).matrix
    for column, sign in ((0, 1), (3, -1)):
        steps = np.repeat(base[None], 9, axis=0)
        steps[:, :, column] = np.linspace(-3, 3, 9)[:, None]
        scores = model.raw(steps.reshape(-1, WIDTH)).reshape(9, -1)
        assert (sign * np.diff(scores, axis=0) >= -1e-12).all()
    with pytest.raises(ValueError, match="input_9 unknown"):
        train(requests(5), NAMES, replace(PARAMS, rising=("input_9",)))


def test_later_requests_end_the_training_early() -> None:
    params = replace(PARAMS, rounds=400, learning_rate=0.5, patience=5)
    model = train(requests(60), NAMES, params, later=requests(60, seed=1))
    assert 1 <= model.boosters[0].num_trees() < 100


def test_a_known_bias_of_places_is_unlearned() -> None:
    """Clicks fall with the place, and the place goes with input 4, which nobody wants."""
    rng = np.random.default_rng(0)
    rows = requests(400, 10)
    rows, sizes = rows.ordered()
    by_four = -rows.matrix[:, 4].reshape(-1, 10)
    place = np.argsort(np.argsort(by_four + rng.normal(0, 0.7, by_four.shape), axis=1), axis=1)
    wanted = np.where(rows.gains > 0, 0.9, 0.1)
    clicks = (rng.random(len(wanted)) < wanted / (1 + place.ravel())).astype(int)
    assert len(sizes) == 400
    naive = Grouped(rows.matrix, clicks, rows.groups)
    told = replace(naive, positions=place.ravel())
    weighted = replace(naive, weights=1.0 + place.ravel() * clicks)
    truth = requests(200, 10, seed=7)
    by_naive, by_told, by_weight = (
        quality(train(part, NAMES, PARAMS), truth) for part in (naive, told, weighted)
    )
    assert by_told > by_naive + 0.01
    assert by_weight > by_naive + 0.01


def test_rankers_come_back_from_text_as_they_were(tmp_path: Path) -> None:
    later = requests(20, seed=1)
    line = FirstTier.fit(requests())
    fitted().save(tmp_path)
    line.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".txt", ".json"}
    for model in (fitted(), line):
        again = type(model).load(tmp_path)
        np.testing.assert_array_equal(again.raw(later.matrix), model.raw(later.matrix))


def test_requests_without_a_difference_are_refused() -> None:
    rows = requests(5)
    same = Grouped(rows.matrix, np.zeros(len(rows.gains), int), rows.groups)
    for learn in (lambda: train(same, NAMES, PARAMS), lambda: FirstTier.fit(same)):
        with pytest.raises(ValueError, match="nothing to rank by"):
            learn()


def test_pairs_are_of_one_request_and_the_better_first() -> None:
    rows = requests(30)
    better, worse = pairs(rows.groups, rows.gains)
    assert len(better) > 1_000
    assert (rows.groups[better] == rows.groups[worse]).all()
    assert (rows.gains[better] > rows.gains[worse]).all()


def test_two_hundred_candidates_cost_a_few_milliseconds() -> None:
    """CPU time, as the machine may be busy; measured alone it is 1.5 ms."""
    wide = np.random.default_rng(0).normal(size=(200, 30))
    names = [f"input_{i}" for i in range(30)]
    rng = np.random.default_rng(1)
    rows = Grouped(rng.normal(size=(4_000, 30)), rng.integers(0, 2, 4_000), np.arange(4_000) // 40)
    model = train(rows, names, RankParams())
    model.raw(wide)
    started = process_time()
    for _ in range(20):
        model.raw(wide)
    assert (process_time() - started) / 20 < 0.008
