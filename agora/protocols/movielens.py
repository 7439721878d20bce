"""MovieLens under the protocol of Microsoft Recommenders' benchmark, by our models of taste.

Ratings are split at random within each item, three quarters to learn from; each user's ten best
items, without those learned from, are judged by the items of the rest, liked or not. Everything is
chosen on splits of the learning part: each model's parameters, then the weights of their sum. The
test part is looked at once, by what was chosen. (Argyriou et al.: Microsoft Recommenders, 2020.)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.protocols import ProtocolError, Row, row
from agora.ranking.blend import Average, Fold, blend, choose_weights, standardised
from agora.ranking.collaborative import Ease, FactoredEase, ItemToItem, Popular
from agora.ranking.factors import ImplicitALS
from agora.ranking.interactions import interactions, top
from agora.ranking.metrics import (
    Judged,
    average_precision,
    judge_lists,
    ndcg,
    precision,
    recall,
)
from agora.ranking.together import TakenTogether
from agora.sources.movielens import read_ratings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agora.ranking.interactions import Sparse

Array = np.ndarray[Any, Any]

BENCHMARK, SYSTEM = "movielens", "recommendation"
K, TRAINED, SEED = 10, 0.75, 42
PUBLISHED_ROWS = 100_000  # Of the set that the table below is about.
TARGETS = {"ndcg_at_10": 0.49, "precision_at_10": 0.42}
# nDCG@10, P@10, MAP, R@10.
PUBLISHED = {
    "ALS": (0.033, 0.038, 0.003, 0.013),
    "SAR": (0.394, 0.341, 0.114, 0.185),
    "NCF": (0.369, 0.327, 0.095, 0.163),
    "BPR": (0.445, 0.389, 0.134, 0.217),
    "LightGCN": (0.416, 0.359, 0.121, 0.196),
    "BiVAE": (0.469, 0.408, 0.144, 0.221),
}
METRICS: dict[str, Callable[[Judged, int], Array]] = {
    "ndcg_at_10": ndcg,
    "precision_at_10": precision,
    "map": average_precision,
    "recall_at_10": recall,
}
CHOICES, CHOOSING = (1, 2, 3, 4), 0.9  # Splits that choose: seeds, and the share learned from.
CELLS = 12_000_000  # Users times items scored at once: 100 MB a model.
MANY_ITEMS = 8_000  # Above, EASE in factors: its inversion grows with the cube.
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ratings:
    """Rated items; users and items as codes from 0, times in seconds, all (n,)."""

    users: Array
    items: Array
    times: Array
    shape: tuple[int, int]

    def take(self, chosen: Array) -> Ratings:
        """The chosen rows of the same users and items."""
        parts = (self.users[chosen], self.items[chosen], self.times[chosen])
        return Ratings(*parts, self.shape)

    @property
    def matrix(self) -> Sparse:
        """1 where a user rated an item, (users, items)."""
        return interactions(self.users, self.items, self.shape)


def _families(items: int) -> dict[str, tuple[Any, ...]]:
    """Models and the parameters that are tried of each."""
    ridges = (100.0, 250.0, 500.0, 1_000.0)
    many = items > MANY_ITEMS
    return {
        "ease": tuple(FactoredEase(256, r) if many else Ease(r) for r in ridges),
        # Starts and ranks differ in what they see: three together are 1 to 2 % better than one.
        "als": tuple(
            Average(tuple(ImplicitALS(rank, 30.0, 3.0, rounds=8, seed=rank) for rank in ranks))
            for ranks in ((16, 20, 24), (20, 28, 36))
        ),
        "together": tuple(
            TakenTogether(seconds, power)
            for seconds, power in ((300.0, 0.5), (1_500.0, 0.5))
        ),
        "item to item": (ItemToItem("cosine"),),
    }  # fmt: skip


def run(path: Path, options: Mapping[str, str]) -> list[Row]:
    """The protocol on a file of the data set's formats.

    Args:
        path: The data set's folder or its file of ratings.
        options: `seed` of the split, 42 by default.

    Raises:
        ProtocolError: An option or the data does not fit.
    """
    if unknown := set(options) - {"seed"}:
        raise ProtocolError(f"options: {', '.join(sorted(unknown))} unknown; there is seed")
    try:
        seed = int(options.get("seed", SEED))
        ratings = _read(path)
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    learned = split(ratings.items, TRAINED, seed)
    models, weights = choose(ratings.take(learned))
    return results(ratings, learned, models, weights, ratings_published(ratings, seed))


def ratings_published(ratings: Ratings, seed: int) -> bool:
    """Whether the published table is about this very set and split."""
    return len(ratings.users) == PUBLISHED_ROWS and ratings.shape == (943, 1_682) and seed == SEED


def split(items: Array, share: float, seed: int) -> Array:
    """Rows to learn from: in each item's rows in random order, the first `share`, (n,) of bool.

    The random numbers are NumPy's of 2006, drawn in the file's order, as the benchmark's are.
    """
    order = np.lexsort((np.random.RandomState(seed).rand(len(items)), items))
    ordered = items[order]
    first = np.searchsorted(ordered, ordered)
    count = np.searchsorted(ordered, ordered, side="right") - first
    rank = np.arange(1, len(items) + 1) - first
    learned = np.zeros(len(items), bool)
    learned[order] = rank <= np.round(share * count)
    return learned


def choose(ratings: Ratings) -> tuple[dict[str, Any], dict[str, float]]:
    """Parameters of each model and the weights of their sum, on splits of what may be learned."""
    splits = [_held_out(ratings, seed) for seed in CHOICES]
    chosen: dict[str, Any] = {}
    for name, tried in _families(ratings.shape[1]).items():
        best = -1.0
        for model in tried:
            found = [scored(model, early, users) for early, users, _ in splits]
            folds = [fold for *_, fold in splits]
            value = float(np.mean([f.value(s, K) for f, s in zip(folds, found, strict=True)]))
            _LOG.info("movielens: %s %s: %.4f", name, _about(model), value)
            if value > best:
                best, chosen[name] = value, model
                for fold, scores in zip(folds, found, strict=True):
                    fold.scores[name] = scores
    weights = choose_weights([fold for *_, fold in splits], "ease", K)
    _LOG.info("movielens: weights %s", weights)
    return chosen, weights


def _held_out(ratings: Ratings, seed: int) -> tuple[Ratings, Array, Fold]:
    """A tenth held out, little enough that models learn from nearly what they will have."""
    learned = split(ratings.items, CHOOSING, seed)
    users = _users(ratings, seed)
    early = ratings.take(learned)
    count = np.bincount(ratings.users, minlength=ratings.shape[0])[users]
    wanted = np.maximum(np.round(count * (1 - TRAINED) / TRAINED), 1)
    held = ratings.take(~learned).matrix[users]
    return early, users, Fold({}, early.matrix[users], held, wanted)


def results(
    ratings: Ratings,
    learned: Array,
    models: Mapping[str, Any],
    weights: Mapping[str, float],
    published: bool,
) -> list[Row]:
    """The sum's figures on the test part, beside those of its parts and of popularity."""
    train, test = ratings.take(learned), ratings.take(~learned)
    everyone = np.unique(test.users)
    # The others have nothing that they could be judged by.
    blocks = np.array_split(everyone, max(1, len(everyone) * ratings.shape[1] // CELLS + 1))
    fitted = {name: _fit(model, train) for name, model in {**models, "popular": Popular()}.items()}
    values: dict[str, dict[str, list[Array]]] = {}
    for users in blocks:
        seen, wanted = train.matrix[users], test.matrix[users]
        scores = {name: standardised(model.scores(seen)) for name, model in fitted.items()}
        for name, found in {"": blend(scores, weights), **scores}.items():
            judged = judge_lists(top(found, K, seen), *wanted.nonzero())
            for metric, measure in METRICS.items():
                values.setdefault(name, {}).setdefault(metric, []).append(measure(judged, K))
    rows = []
    for name, measured in values.items():
        for place, metric in enumerate(METRICS):
            value = float(np.nanmean(np.concatenate(measured[metric])))
            if name:
                rows.append(row(BENCHMARK, SYSTEM, f"{metric} ({name})", value))
                continue
            target = TARGETS.get(metric) if published else None
            reference = _best(place) if published else ""
            rows.append(row(BENCHMARK, SYSTEM, metric, value, target=target, reference=reference))
    return rows


def scored(model: Any, ratings: Ratings, users: Array) -> Array:
    """Standardised scores of some users by a model of all, (users, items)."""
    return standardised(_fit(model, ratings).scores(ratings.matrix[users])).astype(np.float32)


def _fit(model: Any, ratings: Ratings) -> Any:
    """A fitted copy."""
    if isinstance(model, Popular):
        return Popular().fit(ratings.matrix)
    fresh = replace(model)
    if isinstance(fresh, TakenTogether):
        return fresh.fit(ratings.users, ratings.items, ratings.times, ratings.shape)
    return fresh.fit(ratings.matrix)


def _users(ratings: Ratings, seed: int) -> Array:
    """Users to choose by: all, or as many as fit into memory."""
    users, items = ratings.shape
    most = max(1, CELLS // items)
    if users <= most:
        return np.arange(users)
    return np.sort(np.random.default_rng(seed).choice(users, most, replace=False))


def _read(path: Path) -> Ratings:
    frame = read_ratings(path)
    _, users = np.unique(frame["user"].to_numpy(), return_inverse=True)
    _, items = np.unique(frame["item"].to_numpy(), return_inverse=True)
    times = frame["rated_at"].to_numpy().astype(float)
    return Ratings(users, items, times, (int(users.max()) + 1, int(items.max()) + 1))


def _best(place: int) -> str:
    """The table's figures for a metric, best first."""
    ranked: Sequence[tuple[str, tuple[float, ...]]] = sorted(
        PUBLISHED.items(), key=lambda item: -item[1][place]
    )
    return "; ".join(f"{model} {figures[place]:.3f}" for model, figures in ranked[:3])


def _about(model: Any) -> str:
    return str({name: getattr(model, name) for name in model.__slots__ if not name.endswith("_")})
