"""Search's pipeline: words and meaning find candidates, two rankers order them."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agora.boosting import Boosters
from agora.calibration import Calibration
from agora.cascade import Inferred, Tier, infer
from agora.pipeline import Columns, Outputs, PipelineError, retrieved, seal, verify
from agora.ranking.first_tier import FirstTier
from agora.shopping.impressions import LABEL
from agora.shopping.lists import looks
from agora.systems.search.categories import Categories
from agora.systems.search.features import FEATURE_SET_IDS, INPUTS, READ
from agora.systems.search.index import Index, frame_of, texts_of
from agora.systems.search.inputs import Asked, Words, found_words, inputs_of
from agora.systems.search.learning import (
    Rankers,
    fit_categories,
    fit_examined,
    fit_rankers,
    lists_of,
)
from agora.systems.search.listing import OUTPUTS, Lister, best_of, notice_of, sources_of
from agora.systems.search.meaning import Meaning
from agora.systems.search.params import Params
from agora.systems.search.shown import sample_of, words_of
from agora.systems.search.strategies import Retriever
from agora.systems.search.synonyms import synonyms
from agora.systems.search.tiers import ITEM, OWN, REQUEST, FirstStage, TreesStage
from agora.systems.search.understanding import Understanding
from agora.systems.search.update import updated

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import polars as pl

    from agora.candidates import Candidates
    from agora.dataset import TrainingSet
    from agora.shopping.lists import Lists
    from agora.systems.search.understanding import Understood

__all__ = ["LABEL", "Params", "SearchPipeline"]

Array = np.ndarray[Any, Any]

LEARNED, INDEX = "learned.json", "index"


class SearchPipeline:
    """From a query to the list of products that answers it."""

    outputs: Outputs = OUTPUTS
    # Eight hundred candidates each: some 20 MB of inputs.
    rows_at_once = 128

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or Params()
        self.version = ""

    def fit(self, training_set: TrainingSet) -> Self:
        """Learn categories on the training span, the rankers on the calibration span."""
        assert training_set.items is not None, "a system of items has them"
        self._meaning = Meaning.open(self.params.encoder, quantised=self.params.quantised)
        self.categories_ = Categories((), {}, np.empty(0))
        frame = frame_of(training_set.items)
        self._meaning = self._meaning.narrowed(texts_of(frame), self.params.width)
        self._use(self._built(frame))
        lists = lists_of(training_set.train)
        self.categories_ = fit_categories(lists, self.index_, self.index_.lexical.analyzer)
        self.examined_ = fit_examined(lists)
        self._use(self.index_)
        later = lists_of(training_set.calibration)
        later = later.take(np.arange(len(later))[-self.params.lists :])
        weight = looks(later, self.examined_, self.params.most_weight)
        sample, shown = sample_of(self, later, weight)
        self.rankers_ = fit_rankers(sample, shown, later, self.params)
        return self

    def shown(self, lists: Lists) -> tuple[Array, Array]:
        """Inputs of shown products as of then: which of them are in the index, and their rows."""
        items = self.index_.rows_of(lists.keys)
        rows = np.flatnonzero(items >= 0)
        asked = self.asked(lists.columns)
        words = self.words(asked, lists.request[rows], items[rows])
        matrix = inputs_of(
            lists.columns, lists.request[rows], items[rows], asked, self.index_, words,
            features=lists.features[rows],
        )  # fmt: skip
        return rows, matrix

    def words(self, asked: Asked, request: Array, item: Array) -> Words:
        """What the words of requests score for any products, (m,); found anew."""
        return words_of(self._retriever, asked.queries, request, item)

    def asked(self, columns: Columns) -> Asked:
        """Requests, read."""
        return Asked.of(columns, self.index_, self._understanding)

    @property
    def item_ids(self) -> Array:
        """Id of each row of the index."""
        return self.index_.ids

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The rankers."""
        first, trees = self.rankers_.first, self.rankers_.trees
        return FirstStage(first, self.params.kept_open), TreesStage(trees, self.params.linear)

    def retrieve(self, columns: Columns, without: Collection[str] = ()) -> Candidates:
        """At most some eight hundred candidates of each request."""
        return self._retriever.retrieve(columns, without)

    def decode(self, columns: Columns) -> Array:
        """Request, item and inputs of each candidate."""
        columns = retrieved(self, columns)
        found: Candidates = columns.candidates  # type: ignore[attr-defined]
        words = found_words(found, len(columns["k"]))
        matrix = np.empty((len(found), OWN + len(INPUTS)))
        matrix[:, REQUEST], matrix[:, ITEM] = found.request, found.item
        inputs_of(
            columns, found.request, found.item, self.asked(columns), self.index_, words,
            skipped=found.skipped, out=matrix[:, OWN:],
        )  # fmt: skip
        return matrix

    def infer(self, matrix: Array) -> Inferred:
        """Scores that order the candidates of one request."""
        return infer(self.tiers, matrix)

    def decide(self, inferred: Inferred, matrix: Array, columns: Columns) -> dict[str, list[Any]]:
        """One answer per request."""
        columns = retrieved(self, columns)
        found: Candidates = columns.candidates  # type: ignore[attr-defined]
        lister = Lister(self.index_)
        edges = np.searchsorted(found.request, np.arange(len(columns["k"]) + 1)).tolist()
        made = []
        for number, (start, end) in enumerate(pairwise(edges)):
            query = self._understanding.of(columns["query"][number])
            best = start + best_of(
                inferred.tiers[start:end], inferred.scores[start:end], found.item[start:end],
                int(columns["k"][number]),
            )  # fmt: skip
            items = lister.items(
                query, found.item[best], inferred.scores[best], sources_of(found.scores, best)
            )
            tier = int(inferred.tiers[best[0]]) if len(best) else 0
            made.append((query, items, self._chance(inferred.scores[best], tier),
                         found.item[start:end]))  # fmt: skip
        return self._outputs(made, columns)

    def popular(self, columns: Columns) -> dict[str, list[Any]]:
        """What has the words in its title, the most popular first."""
        lister, made = Lister(self.index_), []
        for text, filters, k in zip(
            columns["query"], columns["filters"], columns["k"], strict=True
        ):
            query = self._understanding.of(text)
            items, rows = lister.popular(query, filters, int(k))
            made.append((query, items, 0.0, rows))
        return self._outputs(made, columns)

    def relist(self, kept: Mapping[str, Any], columns: Columns) -> dict[str, list[Any]] | None:
        """What is left of a list that was made in batch; None when that is not enough."""
        filters, k = columns["filters"][0], int(columns["k"][0])
        items = Lister(self.index_).kept(kept["items"], filters, k)
        if columns["facets"][0] == 1 or len(items) < min(k, len(kept["items"])):
            return None
        same = {name: [kept[name]] for name in self.outputs}
        return {**same, "items": [items], "notice": [notice_of(items, filters, k)]}

    def with_items(self, items: pl.DataFrame) -> Self:
        """The same models over a new index: this one changed where little differs."""
        other, frame = copy(self), frame_of(items)
        found = updated(self.index_, frame, self._meaning, synonyms())
        other._use(self._built(frame) if found is None else found)
        return other

    def save_index(self, folder: Path) -> None:
        """Write the index alone."""
        self.index_.save(folder)

    def load_index(self, folder: Path) -> Self:
        """The same models over what `save_index` wrote."""
        other = copy(self)
        if self._meaning.encoder is None:
            # It may have come since.
            opened = Meaning.open(self.params.encoder, quantised=self.params.quantised)
            other._meaning = replace(opened, projection=self._meaning.projection)
        other._use(Index.load(folder))
        other._retriever.warm()
        return other

    def save(self, folder: Path) -> None:
        """Write models, index, and the manifest over all files."""
        folder.mkdir(parents=True, exist_ok=True)
        self.categories_.save(folder)
        self._meaning.save(folder)
        self.rankers_.first.save(folder)
        self.rankers_.trees.save(folder)
        learned = {
            "inputs": INPUTS,
            "examined": self.examined_.tolist(),
            "meanings": [asdict(each) for each in self.rankers_.meanings],
        }
        (folder / LEARNED).write_text(json.dumps(learned, indent=1))
        self.save_index(folder / INDEX)
        seal(
            folder,
            system="search",
            version=self.version,
            inputs=READ,
            outputs=self.outputs,
            feature_sets=FEATURE_SET_IDS,
            params=self.params.saved(),
            libraries=("lightgbm", "numpy", "polars", "tantivy"),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, after checking every file."""
        manifest = verify(folder, system="search", feature_sets=FEATURE_SET_IDS)
        pipeline = cls(Params.of(manifest.params))
        pipeline.version = manifest.version
        learned = json.loads((folder / LEARNED).read_text())
        if learned.get("inputs") != list(INPUTS):
            raise PipelineError(f"{folder}: its rankers were made for other inputs")
        first, trees = (Calibration(**each) for each in learned["meanings"])
        pipeline._meaning = Meaning.open(
            pipeline.params.encoder, quantised=pipeline.params.quantised
        ).load(folder)
        pipeline.categories_ = Categories.load(folder)
        pipeline.examined_ = np.array(learned["examined"])
        pipeline.rankers_ = Rankers(
            FirstTier.load(folder), Boosters.load(folder), pipeline.params.linear, (first, trees)
        )
        pipeline._use(Index.load(folder / INDEX))
        pipeline._retriever.warm()
        return pipeline

    def importance(self) -> dict[str, float]:
        """Share of the gain that each input brought to the trees, largest first."""
        return self.rankers_.trees.importance()

    def _built(self, frame: pl.DataFrame) -> Index:
        matrix, present = self._meaning.texts(texts_of(frame))
        name = self._meaning.name if present.any() else ""
        weights, depth = self.params.weights, self.params.semantic
        return Index.of(frame, matrix, present, weights, name, depth, synonyms())

    def _use(self, index: Index) -> None:
        self.index_ = index
        self._understanding = Understanding(
            index, self.categories_, self._meaning, self.params.sure
        )
        self._retriever = Retriever(index, self._understanding, self.params)

    def _chance(self, scores: Array, tier: int) -> float:
        """Chance that something of a list is taken, from the mean score of its products."""
        if not len(scores):
            return 0.0
        return float(self.rankers_.meanings[tier](np.array([scores.mean()]))[0])

    def _outputs(
        self, made: list[tuple[Understood, list[Any], float, Array]], columns: Columns
    ) -> dict[str, list[Any]]:
        lister = Lister(self.index_)
        asked = zip(columns["filters"], columns["k"], strict=True)
        return {
            "items": [items for _, items, _, _ in made],
            "score": [score for _, _, score, _ in made],
            "query_used": [query.used for query, _, _, _ in made],
            "corrected": [query.corrected for query, _, _, _ in made],
            "category": [query.category for query, _, _, _ in made],
            "total": [len(rows) for _, _, _, rows in made],
            "facets": [
                lister.facets(rows) if wanted == 1 else None
                for (_, _, _, rows), wanted in zip(made, columns["facets"], strict=True)
            ],
            "notice": [
                notice_of(items, filters, int(k))
                for (_, items, _, _), (filters, k) in zip(made, asked, strict=True)
            ],
        }
