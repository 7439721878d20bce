from __future__ import annotations

import numpy as np
import pytest

from agora.ranking.blend import Fold, blend, choose_weights, standardised
from agora.ranking.interactions import interactions
from agora.ranking.metrics import as_if, judge_lists, ndcg

USERS, ITEMS, WANTED = 200, 60, 6


def folds(seed: int = 0) -> list[Fold]:
    """Two models that each know half of the truth, and one that knows nothing."""
    made = []
    for part in range(2):
        rng = np.random.default_rng((seed, part))
        halves = rng.normal(size=(2, USERS, ITEMS))
        taste = halves.sum(axis=0)
        items = np.argsort(-taste, axis=1)[:, :WANTED].ravel()
        rows = np.repeat(np.arange(USERS), WANTED)
        scores = {
            "first": standardised(5 + 3 * halves[0]),
            "second": standardised(halves[1]),
            "noise": standardised(rng.normal(size=taste.shape)),
        }
        wanted = interactions(rows, items, (USERS, ITEMS))
        nothing = interactions(rows[:0], items[:0], (USERS, ITEMS))
        made.append(Fold(scores, nothing, wanted, np.full(USERS, WANTED)))
    return made


def test_what_adds_gets_its_weight_and_noise_gets_none() -> None:
    weights = choose_weights(folds(), "first", 5)
    assert weights["first"] == 1
    assert 0.6 < weights["second"] < 1.6
    assert abs(weights.get("noise", 0)) <= 0.25
    later = folds(seed=9)
    alone, both = (
        np.mean([fold.value(blend(fold.scores, one), 5) for fold in later])
        for one in ({"first": 1.0}, weights)
    )
    assert both > alone + 0.1


def test_equal_inputs_give_equal_weights() -> None:
    assert choose_weights(folds(), "first", 5) == choose_weights(folds(), "first", 5)


def test_standardised_scores_forget_each_models_scale() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4, 30))
    np.testing.assert_allclose(standardised(scores), standardised(7 + 100 * scores), atol=1e-9)
    assert (standardised(np.ones((2, 3))) == 0).all()


def test_a_sample_of_judgements_has_the_mean_of_all_but_for_its_share() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(400), 30)
    items = np.tile(np.arange(30), 400)
    lists = np.argsort(rng.random((400, 60)), axis=1)[:, :10]
    kept = rng.random((400, 30)) < 0.25
    sample = kept.ravel()
    relevant = np.full(400, 30)
    whole = ndcg(judge_lists(lists, groups, items), 10).mean()
    part = ndcg(as_if(judge_lists(lists, groups[sample], items[sample]), relevant), 10).mean()
    assert part == pytest.approx(0.25 * whole, rel=0.1)
