from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from agora.ranking.collaborative import Ease, FactoredEase, ItemToItem, Popular
from agora.ranking.factors import ImplicitALS
from agora.ranking.interactions import Recommender, histories, interactions, top
from agora.ranking.metrics import judge_lists, recall
from tests.ranking.taste import taken

if TYPE_CHECKING:
    from pathlib import Path

MODELS: dict[str, Recommender] = {
    "popular": Popular(),
    "jaccard": ItemToItem("jaccard", 40),
    "lift": ItemToItem("lift", 40, fewest=3),
    "cosine": ItemToItem("cosine", None),
    "ease": Ease(60.0),
    "ease with dropout": Ease(30.0, 0.3),
    "factored ease": FactoredEase(12, 60.0),
    "als": ImplicitALS(8, 5.0, 5.0, rounds=6),
}
TASTE = [name for name in MODELS if name != "popular"]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_from_plain_files_as_it_was(name: str, tmp_path: Path) -> None:
    learned, _, _ = taken()
    model = MODELS[name].fit(learned)
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}
    again = type(model).load(tmp_path)
    np.testing.assert_allclose(again.scores(learned), model.scores(learned), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TASTE)
def test_taste_finds_twice_what_popularity_finds(name: str) -> None:
    learned, held, _ = taken()
    found = []
    for model in (MODELS["popular"], MODELS[name]):
        lists = top(model.fit(learned).scores(learned), 10, learned)
        found.append(np.nanmean(recall(judge_lists(lists, *held.nonzero()), 10)))
    assert found[1] > 2 * found[0]


@pytest.mark.parametrize("name", TASTE)
def test_one_more_click_changes_the_answer_at_once(name: str) -> None:
    learned, _, kind = taken()
    model = MODELS[name].fit(learned)
    before, after = np.array([0, 6, 12]), np.array([0, 6, 12, 1, 7, 13, 19])
    asked = histories([before, after], learned.shape[1])
    lists = top(model.scores(asked), 10, asked)
    assert (kind[lists[0]] == 0).sum() >= 8
    assert (kind[lists[1]] == 1).sum() > (kind[lists[0]] == 1).sum()


def test_ease_is_the_best_weight_under_its_constraint() -> None:
    """Each column is the ridge regression of an item on the others, solved by itself."""
    learned, _, _ = taken(80, 25)
    x = learned.toarray()
    weights = Ease(7.0).fit(learned).scores(histories([np.array([i]) for i in range(25)], 25))
    for item in (0, 11, 24):
        others = np.delete(np.arange(25), item)
        a = x[:, others]
        wanted = np.linalg.solve(a.T @ a + 7.0 * np.eye(24), a.T @ x[:, item])
        np.testing.assert_allclose(weights[others, item], wanted, atol=1e-9)
        assert weights[item, item] == 0


def test_factored_ease_at_full_rank_is_ease() -> None:
    learned, _, _ = taken(80, 25)
    unseen = learned.toarray() == 0
    whole, factored = Ease(7.0).fit(learned), FactoredEase(25, 7.0).fit(learned)
    np.testing.assert_allclose(
        factored.scores(learned)[unseen], whole.scores(learned)[unseen], atol=1e-9
    )
    np.testing.assert_allclose(
        factored.ask(learned) @ factored.vectors().T, factored.scores(learned), atol=1e-5
    )


def test_jaccard_and_lift_are_counts_of_users() -> None:
    x = interactions(np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 0, 2]), (4, 3))
    assert ItemToItem("jaccard").fit(x).matrix_.toarray()[0].tolist() == pytest.approx(
        [0, 2 / 3, 0]
    )
    assert ItemToItem("lift").fit(x).matrix_.toarray()[0].tolist() == pytest.approx([0, 8 / 6, 0])


def test_als_solves_each_row_by_least_squares_whatever_its_length() -> None:
    rng = np.random.default_rng(0)
    learned = interactions(rng.integers(0, 40, 500), rng.integers(0, 30, 500), (40, 30))
    model = ImplicitALS(5, 0.7, 3.0, scaling=0.5, rounds=2).fit(learned)
    factors, x = model.items_, learned.toarray()
    assert factors is not None
    for row in (0, 7, 39):
        confidence = 1 + 3.0 * x[row]
        evidence = ((confidence - 1) + (x[row] > 0)).sum() ** 0.5
        system = factors.T * confidence @ factors + 0.7 * evidence * np.eye(5)
        wanted = np.linalg.solve(system, factors.T @ (confidence * (x[row] > 0)))
        np.testing.assert_allclose(model.ask(learned)[row], wanted, atol=1e-9)


def test_als_is_the_same_by_its_seed_and_goes_on_from_earlier_factors() -> None:
    learned, _, _ = taken()
    first = ImplicitALS(8, rounds=3, seed=4).fit(learned)
    again = ImplicitALS(8, rounds=3, seed=4).fit(learned)
    np.testing.assert_array_equal(first.vectors(), again.vectors())
    warm = ImplicitALS(8, rounds=1, items_=first.items_).fit(learned)
    assert np.abs(warm.vectors() - first.vectors()).max() < 0.3
    assert not np.array_equal(warm.vectors(), first.vectors())


def test_an_unfitted_model_says_so() -> None:
    empty = histories([np.array([0])], 1)
    for model in (Ease(), FactoredEase(), ImplicitALS()):
        with pytest.raises(ValueError, match="fit the model"):
            model.scores(empty)
