"""A judged search collection in BEIR's format, through the platform's own retrieval.

Documents are indexed by words and by meaning; queries of the part `test` are answered by each way
alone, by both fused, and by a ranking learned on the judgements of the part `train`. What there is
to choose (the weight of the fusion) is chosen on `train`; judgements of `test` are looked at once,
to be counted. nDCG@10 and R@100 as trec_eval counts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.protocols import ProtocolError, Row, row
from agora.protocols.judged_ranking import learned
from agora.ranking.metrics import judge_lists, ndcg, recall
from agora.retrieval.hits import Hits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agora.protocols.judged_evidence import Documents, Evidence
    from agora.sources.beir import Collection

Array = np.ndarray[Any, Any]

SYSTEM = "search"
DEPTH, CUT = 100, 10
WEIGHTS: tuple[float, ...] = tuple(tenth / 10 for tenth in range(11))
OPTIONS = ("home", "encoder", "train", "test")
TARGETS = {"scifact": {"ndcg_at_10": 0.74, "recall_at_100": 0.96}}
# Thakur and others 2021, Pyserini's reproductions, Su and others 2022, Wang and others 2022.
PUBLISHED = {
    "scifact": {
        "ndcg_at_10": "BM25 (Anserini) .679; GPL distilbert .674; BM25 multifield .665; "
        "instructor-xl .636",
        "recall_at_100": "BM25 (Anserini) .925; BM25 multifield .908",
    }
}


def run(path: Path, options: Mapping[str, str]) -> list[Row]:
    """The protocol on a collection's folder.

    Args:
        path: `corpus.jsonl`, `queries.jsonl` and `qrels/`.
        options: `home`: where encoders and vectors are kept; `encoder`: a packaged one or a
            folder; `train`, `test`: parts of the judgements, by default those names. Without a
            train part nothing is learned and the fusion weighs both alike.

    Raises:
        ProtocolError: The data or an option does not fit.
    """
    from agora.retrieval.hits import RetrievalError
    from agora.sources import SourceError
    from agora.sources.beir import read

    if unknown := set(options) - set(OPTIONS):
        raise ProtocolError(
            f"options: {', '.join(sorted(unknown))} unknown; there are {', '.join(OPTIONS)}"
        )
    try:
        collection = read(path)
        test, train = options.get("test", "test"), options.get("train", "train")
        if test not in collection.judgements:
            there = ", ".join(collection.judgements)
            raise ProtocolError(f"test: no judgements qrels/{test}.tsv; there are {there}")
        name = path.resolve().name
        return results(name, collection, train, test, options)
    except (SourceError, RetrievalError) as error:
        raise ProtocolError(str(error)) from error


def results(
    name: str, collection: Collection, train: str, test: str, options: Mapping[str, str]
) -> list[Row]:
    """Counts and metrics of every way, beside what was published."""
    documents, vectors = _indexed(collection, options)
    asked = _Asked.of(collection, test, documents, vectors)
    taught = (
        _Asked.of(collection, train, documents, vectors)
        if train in collection.judgements and train != test
        else None
    )
    weight = _weight(taught) if taught else 0.5
    ways = {
        "BM25": [evidence.column("bm25") for evidence in asked.evidence],
        "encoder": [evidence.column("meaning") for evidence in asked.evidence],
        f"fused, {weight:.1f} of words": [_fused(evidence, weight) for evidence in asked.evidence],
    }
    if taught:
        best = "learned on train"
        ways[best] = learned(taught.evidence, taught.gains(), asked.evidence)
    else:
        best = f"fused, {weight:.1f} of words"
    targets, published = TARGETS.get(name, {}), PUBLISHED.get(name, {})
    found = {way: asked.measured(scores) for way, scores in ways.items()}
    return [
        row(name, SYSTEM, "documents", collection.documents.height, unit="rows"),
        row(name, SYSTEM, "test_queries", len(asked.evidence), unit="rows"),
        *(
            row(
                name, SYSTEM, metric, value, target=targets.get(metric),
                reference=published.get(metric, ""),
            )
            for metric, value in found[best].items()
        ),
        *(
            row(name, SYSTEM, f"{metric} ({way})", value)
            for way, values in found.items()
            for metric, value in values.items()
        ),
    ]  # fmt: skip


class _Asked:
    """The queries of a part with their evidence and judgements."""

    def __init__(self, evidence: Sequence[Evidence], judged: tuple[Array, Array, Array]) -> None:
        self.evidence = evidence
        self.queries, self.documents, self.grades = judged

    @classmethod
    def of(
        cls, collection: Collection, part: str, documents: Documents, vectors: Mapping[str, Array]
    ) -> _Asked:
        queries, judged = collection.of(part)
        number = {key: at for at, key in enumerate(queries["id"])}
        document = {key: at for at, key in enumerate(collection.documents["id"])}
        rows = [
            (number[query], document[found], grade)
            for query, found, grade in judged.rows()
            # A judged document that the collection lacks can be found by nobody.
            if query in number and found in document
        ]
        columns = np.array(rows, np.int64).reshape(-1, 3).T
        evidence = [documents.ask(text, vectors[text]) for text in queries["text"]]
        return cls(evidence, (columns[0], columns[1], columns[2]))

    def gains(self) -> list[Array]:
        """Grade of each candidate of each query."""
        found = []
        for number, evidence in enumerate(self.evidence):
            own = self.queries == number
            grades = dict(zip(self.documents[own].tolist(), self.grades[own], strict=True))
            found.append(np.array([max(grades.get(r, 0), 0) for r in evidence.rows.tolist()]))
        return found

    def measured(self, scores: Sequence[Array]) -> dict[str, float]:
        """nDCG@10 and R@100 of the candidates by these scores, means over the queries."""
        lists = np.full((len(self.evidence), DEPTH), -1, np.int64)
        for at, (evidence, each) in enumerate(zip(self.evidence, scores, strict=True)):
            # Equal scores, which are rare, stay in the documents' order.
            best = Hits.best(evidence.rows, each, DEPTH).rows
            lists[at, : len(best)] = best
        gains = np.maximum(self.grades, 0).astype(float)
        judged = judge_lists(lists, self.queries, self.documents, gains)
        return {
            "ndcg_at_10": float(np.nanmean(ndcg(judged, CUT))),
            "recall_at_100": float(np.nanmean(recall(judged, DEPTH))),
        }


def _indexed(
    collection: Collection, options: Mapping[str, str]
) -> tuple[Documents, dict[str, Array]]:
    """The documents, indexed, and the vector of every query's text."""
    from agora.protocols.judged_evidence import Documents
    from agora.retrieval.encoded import EncodedTexts
    from agora.retrieval.encoder import DEFAULT, packaged
    from agora.retrieval.lexical import Lexical, Schema
    from agora.settings import settings

    home = Path(options["home"]) if "home" in options else settings().home
    encoder = packaged(home / "encoders", options.get("encoder", DEFAULT), quantised=True)
    encoded = EncodedTexts(encoder, home / "encoded")
    titles = collection.documents["title"].to_list()
    texts = collection.documents["text"].to_list()
    lexical = Lexical.build(
        Schema({"title": 1.0, "text": 1.0}), np.arange(len(texts)), {"title": titles, "text": texts}
    )
    queries = collection.queries["text"].unique(maintain_order=True).to_list()
    vectors = dict(zip(queries, encoded.vectors(queries), strict=True))
    return Documents(titles, texts, lexical, encoded), vectors


def _fused(evidence: Evidence, weight: float) -> Array:
    words, meaning = evidence.column("bm25_unit"), evidence.column("meaning_unit")
    return np.asarray(weight * words + (1 - weight) * meaning)


def _weight(taught: _Asked) -> float:
    """The weight of words that ranks the train queries best."""
    reached = {
        weight: taught.measured([_fused(evidence, weight) for evidence in taught.evidence])
        for weight in WEIGHTS
    }
    return max(reached, key=lambda weight: reached[weight]["ndcg_at_10"])
