"""Judged queries of the simulator's truth: words, meaning, both, and the rankers.

`AGORA_HOME=... python -m benchmarks.models.search`: the champion of an instance that was simulated,
over today's catalogue. A product's grade is how well it meets what the query means (3 all of it, 2
all but a wish, 1 all but two); what people like beside that is not judged. Intervals are over the
queries, paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from agora.candidates import Retrieved
from agora.evaluation import CANDIDATE, Estimate, bootstrap
from agora.items import catalogue_of
from agora.metrics import mean
from agora.ranking.metrics import judge_lists, ndcg, recall
from agora.settings import settings
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.systems.search import SYSTEM
from agora.systems.search.evaluation import BM25, FUSION, fused
from agora.systems.search.features import INPUTS, LEXICAL, READ, SEMANTIC
from agora.systems.search.pipeline import SearchPipeline
from agora.systems.search.tiers import ITEM, OWN, REQUEST
from benchmarks.results import show, write

Array = np.ndarray[Any, Any]

DEPTH = 10
LINEAR = "linear ranker"


@dataclass(frozen=True, slots=True)
class Judgements:
    """Judged queries.

    Attributes:
        queries: As typed.
        group: Query of each judgement, (n,).
        row: Row of its product in the index, (n,).
        grade: 1 to 3, (n,).
    """

    queries: list[str]
    group: Array
    row: Array
    grade: Array


def run() -> list[dict[str, Any]]:
    """nDCG@10 and recall of all candidates, by way of ordering them."""
    here = settings()
    champion = ModelRegistry(here).load(SYSTEM)
    assert isinstance(champion, SearchPipeline)
    items = catalogue_of(SYSTEM, Lake(here.lake, here.lake_options), datetime.now(UTC))
    pipeline = champion.with_items(items)
    judged = judgements(pipeline, pl.read_parquet(here.home / "truth" / "judgements.parquet"))
    columns = _asked(judged.queries)
    found = pipeline.retrieve(columns)
    carried = Retrieved(columns, found)
    matrix = pipeline.decode(carried)
    inputs, groups = matrix[:, OWN:], matrix[:, REQUEST].astype(np.int64)
    ranked = pipeline.infer(matrix)
    orders = {
        BM25: inputs[:, INPUTS.index(LEXICAL)],
        SEMANTIC: np.nan_to_num(inputs[:, INPUTS.index(SEMANTIC)], nan=-1.0),
        FUSION: fused(inputs, groups),
        LINEAR: pipeline.rankers_.first.raw(inputs),
        # What the trees saw stands above what they did not.
        CANDIDATE: np.lexsort((ranked.scores, ranked.tiers)).argsort(),
    }
    lists = {
        name: _lists(groups, matrix[:, ITEM], scores, len(judged.queries), DEPTH)
        for name, scores in orders.items()
    }
    values = {name: ndcg(_judge(each, judged), DEPTH) for name, each in lists.items()}
    all_found = _lists(groups, matrix[:, ITEM], orders[BM25], len(judged.queries), len(matrix))
    rows = [_row(f"ndcg_at_10, {name}", _estimate(each)) for name, each in values.items()]
    for name in (BM25, FUSION):
        lead = _estimate(values[CANDIDATE] - values[name])
        rows.append(_row(f"lead over {name}", lead, met=lead.value > 0))
    share = recall(_judge(all_found, judged), all_found.shape[1])
    return [*rows, _row("recall of retrieval", _estimate(share))]


def judgements(pipeline: SearchPipeline, truth: pl.DataFrame) -> Judgements:
    """The truth by row of the index; products that are not in it are left out."""
    place = {item: row for row, item in enumerate(pipeline.item_ids.tolist())}
    rows = truth.with_columns(
        row=pl.col("product_id").replace_strict(place, default=-1, return_dtype=pl.Int64)
    ).filter(pl.col("row") >= 0)
    # A query that was drawn twice counts once.
    first = rows.group_by("query", maintain_order=True).agg(pl.col("query_id").first())
    rows = rows.join(first, on=["query", "query_id"], maintain_order="left")
    group = rows["query"].replace_strict(
        first["query"], pl.int_range(len(first), eager=True), return_dtype=pl.Int64
    )
    grade = rows["grade"].cast(pl.Float64).to_numpy()
    return Judgements(first["query"].to_list(), group.to_numpy(), rows["row"].to_numpy(), grade)


def _asked(queries: list[str]) -> dict[str, Array]:
    """Requests of nobody known."""
    n = len(queries)
    nothing = {name: np.full(n, np.nan) for name in READ}
    none = {name: np.full(n, None, object) for name in ("customer_id", "filters", "session")}
    now = int(datetime.now(UTC).timestamp() * 1e6)
    return (
        nothing
        | none
        | {
            "request_id": np.array([str(number) for number in range(n)], object),
            "query": np.array(queries, object),
            "k": np.full(n, float(DEPTH)),
            "facets": np.zeros(n),
            "event_at": np.full(n, now),
        }
    )


def _lists(groups: Array, items: Array, scores: Array, count: int, depth: int) -> Array:
    """The best items of each query, -1 where there are no more, (count, at most depth)."""
    order = np.lexsort((items, -scores, groups))
    start = np.searchsorted(groups[order], np.arange(count))
    place = np.arange(len(order)) - start[groups[order]]
    kept = place < depth
    found = np.full((count, int(place[kept].max(initial=0)) + 1), -1)
    found[groups[order][kept], place[kept]] = items[order][kept]
    return found


def _judge(lists: Array, judged: Judgements) -> Any:
    return judge_lists(lists, judged.group, judged.row, judged.grade)


def _estimate(values: Array) -> Estimate:
    kept = values[np.isfinite(values)]
    return Estimate.of(
        np.concatenate([mean(kept, draws) for draws in bootstrap(np.arange(len(kept)))])
    )


def _row(metric: str, estimate: Estimate, *, met: bool | None = None) -> dict[str, Any]:
    return {
        "benchmark": "search", "system": SYSTEM.name, "metric": metric, "value": estimate.value,
        "target": None if met is None else 0.0, "met": met, "unit": "",
        "reference": f"{estimate.low:.3f} to {estimate.high:.3f}",
    }  # fmt: skip


def main() -> None:
    """Print the figures and keep them."""
    rows = run()
    write("search", rows)
    show(rows, "Judged queries")


if __name__ == "__main__":
    main()
