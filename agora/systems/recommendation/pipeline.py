"""Recommendation's pipeline: five strategies find a thousand products, two rankers order them.

What is shown of them is made by `listing`: at most so many of a seller, unlike each other, some of
them new, some tried out.
"""

from __future__ import annotations

import json
from copy import copy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from agora.boosting import Boosters
from agora.calibration import Calibration
from agora.cascade import Inferred, Tier, infer
from agora.pipeline import Columns, Outputs, retrieved, seal, verify
from agora.ranking.first_tier import FirstTier
from agora.shopping.impressions import LABEL
from agora.systems.recommendation import asking
from agora.systems.recommendation.features import FEATURE_SET_IDS, INPUTS, READ
from agora.systems.recommendation.index import Index, frame_of
from agora.systems.recommendation.inputs import inputs_of
from agora.systems.recommendation.learning import (
    Rankers,
    fit_examined,
    fit_rankers,
    fit_tastes,
    lists_of,
    looks,
)
from agora.systems.recommendation.listing import Lister, notice_of
from agora.systems.recommendation.params import Params
from agora.systems.recommendation.ranked import Ranked, rank
from agora.systems.recommendation.strategies import Newest, Retriever
from agora.systems.recommendation.tastes import SPACES, Tastes
from agora.systems.recommendation.tiers import ITEM, OWN, REQUEST, FirstStage, TreesStage
from agora.systems.recommendation.update import updated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from agora.candidates import Candidates
    from agora.dataset import TrainingSet
    from agora.shopping.lists import Lists

__all__ = ["LABEL", "Params", "RecommendationPipeline"]

Array = np.ndarray[Any, Any]

LEARNED, INDEX = "learned.json", "index"
OUTPUTS: Outputs = {
    "items": pl.List(
        pl.Struct(
            {
                "product_id": pl.String(), "position": pl.Int64(), "score": pl.Float64(),
                "source": pl.String(), "propensity": pl.Float64(), "explored": pl.Boolean(),
                "title": pl.String(), "price": pl.Float64(),
            }
        )
    ),
    "score": pl.Float64(),
    "notice": pl.String(),
}  # fmt: skip


class RecommendationPipeline:
    """From a visit to the list of products that it is shown."""

    outputs: Outputs = OUTPUTS
    # A thousand candidates each: some 30 MB of inputs.
    rows_at_once = 128
    tastes_: Tastes
    asked_: dict[str, Array]
    _retriever: Retriever

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()
        self.version = ""

    def fit(self, training_set: TrainingSet, start: Self | None = None) -> Self:
        """Learn tastes on the training span, the rankers on the calibration span.

        Args:
            training_set: Rows of shown products, and the catalogue.
            start: An earlier model: its towers are gone on from, as in a daily update.

        Raises:
            ValueError: Nothing was taken of any list of the training span.
        """
        assert training_set.items is not None, "a system of items has them"
        frame = frame_of(training_set.items)
        lists = lists_of(training_set.train)
        if not lists.taken.any():
            raise ValueError(
                f"training_set: nothing was taken of its {len(lists)} lists of the training span; "
                "impressions and interactions of more days are needed to learn tastes from"
            )
        earlier = None if start is None else start.tastes_
        self.tastes_ = fit_tastes(lists, frame, self.params, earlier)
        matrices = self.tastes_.matrices(frame)
        bare = Index.of(frame, matrices, listed=False)
        self.asked_ = asking.sample_of(self.tastes_, lists.columns, bare)
        self._use(Index.of(frame, matrices, self.params.found, self.asked_))
        self.examined_ = fit_examined(lists)
        later = lists_of(training_set.calibration)
        rows, matrix = self.shown(later)
        weight = looks(later, self.examined_, self.params.look_power)[rows]
        self.rankers_ = fit_rankers(matrix, later, rows, weight, self.params)
        return self

    def shown(self, lists: Lists) -> tuple[Array, Array]:
        """Inputs of shown products as of then: which of them are in the index, and their rows."""
        items = self.index_.rows_of(lists.keys)
        rows = np.flatnonzero(items >= 0)
        asked = self.tastes_.ask(lists.columns, self.index_)
        matrix = inputs_of(
            lists.columns, lists.request[rows], items[rows], asked, self.index_,
            features=lists.features[rows],
        )  # fmt: skip
        return rows, matrix

    @property
    def item_ids(self) -> Array:
        """Id of each row of the index."""
        return self.index_.ids

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The rankers."""
        return (
            FirstStage(self.rankers_.first, self.params.kept_open),
            TreesStage(self.rankers_.trees),
        )

    def retrieve(self, columns: Columns, without: Collection[str] = ()) -> Candidates:
        """About a thousand candidates of each request."""
        return self._retriever.retrieve(columns, without)

    def decode(self, columns: Columns) -> Array:
        """Request, item and inputs of each candidate."""
        columns = retrieved(self, columns)
        found = columns.candidates  # type: ignore[attr-defined]
        asked = getattr(found, "asked", None) or self.tastes_.ask(columns, self.index_)
        matrix = np.empty((len(found), OWN + len(INPUTS)))
        matrix[:, REQUEST], matrix[:, ITEM] = found.request, found.item
        inputs_of(
            columns, found.request, found.item, asked, self.index_,
            skipped=found.skipped, out=matrix[:, OWN:],
        )  # fmt: skip
        return matrix

    def infer(self, matrix: Array) -> Inferred:
        """Scores that order the candidates of one request."""
        return infer(self.tiers, matrix)

    def decide(self, inferred: Inferred, matrix: Array, columns: Columns) -> dict[str, list[Any]]:
        """One list per request."""
        columns = retrieved(self, columns)
        lister, made = Lister(self.index_, self.params), []
        asked = zip(
            *(columns[name] for name in ("request_id", "k", "event_at", "filters")), strict=True
        )
        for (ranked, tier), (request_id, k, at, filters) in zip(
            self.ranked(inferred, matrix, columns), asked, strict=True
        ):
            items, mean = lister.list_of(ranked, int(k), str(request_id), float(at) / 1e6)
            made.append((items, self._chance(mean, tier), filters, int(k)))
        return self._outputs(made)

    def ranked(
        self, inferred: Inferred, matrix: Array, columns: Columns
    ) -> Iterator[tuple[Ranked, int]]:
        """The best candidates of each request, and the number of the ranker that ordered them."""
        found: Candidates = columns.candidates  # type: ignore[attr-defined]
        return rank(found, inferred, matrix, len(columns["k"]), self.params.kept_open)

    def popular(self, columns: Columns) -> dict[str, list[Any]]:
        """What is taken most, of what the filters leave."""
        lister = Lister(self.index_, self.params)
        made = []
        for filters, k in zip(columns["filters"], columns["k"], strict=True):
            items = lister.popular(filters, int(k))
            made.append((items, self.rankers_.usual if items else 0.0, filters, int(k)))
        return self._outputs(made)

    def relist(self, kept: Mapping[str, Any], columns: Columns) -> dict[str, list[Any]] | None:
        """What is left of a list that was made in batch; None when that is not enough."""
        filters, k = columns["filters"][0], int(columns["k"][0])
        items = Lister(self.index_, self.params).kept(kept["items"], filters, k)
        if len(items) < min(k, len(kept["items"])) and len(items) < k // 2:
            return None
        return self._outputs([(items, float(kept["score"]), filters, k)]) if items else None

    def with_items(self, items: pl.DataFrame) -> Self:
        """The same models over a new index: this one changed where little differs."""
        other, frame = copy(self), frame_of(items)
        found = updated(self.index_, frame, self.tastes_)
        if found is None:
            matrices = self.tastes_.matrices(frame)
            found = Index.of(frame, matrices, self.params.found, self.asked_)
        other._use(found)
        return other

    def save_index(self, folder: Path) -> None:
        """Write the index alone."""
        self.index_.save(folder)

    def load_index(self, folder: Path) -> Self:
        """The same models over what `save_index` wrote."""
        other = copy(self)
        other._use(Index.load(folder, SPACES))
        return other

    def save(self, folder: Path) -> None:
        """Write models, index, and the manifest over all files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tastes_.save(folder)
        asking.save(self.asked_, folder)
        self.rankers_.first.save(folder)
        self.rankers_.trees.save(folder)
        learned = {
            "examined": self.examined_.tolist(),
            "meanings": [asdict(each) for each in self.rankers_.meanings],
            "usual": self.rankers_.usual,
        }
        (folder / LEARNED).write_text(json.dumps(learned, indent=1))
        self.save_index(folder / INDEX)
        seal(
            folder,
            system="recommendation",
            version=self.version,
            inputs=READ,
            outputs=self.outputs,
            feature_sets=FEATURE_SET_IDS,
            params=self.params.saved(),
            libraries=("lightgbm", "numpy", "polars"),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, after checking every file."""
        manifest = verify(folder, system="recommendation", feature_sets=FEATURE_SET_IDS)
        pipeline = cls(Params.of(manifest.params))
        pipeline.version = manifest.version
        learned = json.loads((folder / LEARNED).read_text())
        first, trees = (Calibration(**each) for each in learned["meanings"])
        pipeline.tastes_ = Tastes.load(folder)
        pipeline.asked_ = asking.load(folder)
        pipeline.examined_ = np.array(learned["examined"])
        pipeline.rankers_ = Rankers(
            FirstTier.load(folder), Boosters.load(folder), (first, trees), learned["usual"]
        )
        pipeline._use(Index.load(folder / INDEX, SPACES))
        return pipeline

    def importance(self) -> dict[str, float]:
        """Share of the gain that each input brought to the trees, largest first."""
        return self.rankers_.trees.importance()

    def _use(self, index: Index) -> None:
        self.index_ = index
        params = self.params
        self._retriever = Retriever(
            index, Newest.of(index), self.tastes_, params.found, params.new_days,
            params.first_looks,
        )  # fmt: skip

    def _chance(self, mean: float, tier: int) -> float:
        """Chance that something of a list is taken, from the mean score of its products."""
        if np.isnan(mean):
            return 0.0
        return float(self.rankers_.meanings[tier](np.array([mean]))[0])

    def _outputs(self, made: list[tuple[Any, float, Any, int]]) -> dict[str, list[Any]]:
        return {
            "items": [items for items, _, _, _ in made],
            "score": [score for _, score, _, _ in made],
            "notice": [notice_of(items, filters, k) for items, _, filters, k in made],
        }
