"""System: the record that says everything the platform must know of one ML system.

The asset factories, the sensors, the Predictor and the contract test read it; nothing else
describes a system.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agora.retraining import Retraining

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime
    from pathlib import Path

    import polars as pl
    from pydantic import BaseModel

    from agora.adjustments import Adjusting
    from agora.budgets import Budgets
    from agora.dataset import Split, TrainingSet
    from agora.evaluation import Report
    from agora.features import Entity, FeatureSet
    from agora.gate import Gate
    from agora.items import Items
    from agora.monitoring.table import Measure
    from agora.pipeline import ItemPipeline, Pipeline
    from agora.serving.predictor import Predictor
    from agora.stores.lake import Lake
    from agora.stores.outcome_inbox import OutcomeReport


@dataclass(frozen=True, kw_only=True)
class Page:
    """A further GET page of a system's service, as `/suggest?prefix=`.

    Attributes:
        path: Where it is found.
        summary: What it answers, in a sentence.
        params: Pydantic model of its query parameters: text, numbers and truth values.
        response: Pydantic model of its answer.
        answer: The answer to given parameters, by what serves now. It runs where requests are
            answered, so it must be quick. A `LookupError` says that there is no such thing (404).
    """

    path: str
    summary: str
    params: type[BaseModel]
    response: type[BaseModel]
    answer: Callable[[Predictor, Any], BaseModel | Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class System:
    """One ML system.

    Attributes:
        name: One word, the same everywhere.
        owner: Dagster owner, `team:<name>`.
        contact: Address that answers questions about the model.
        decision: What is decided, in a sentence.
        request: Pydantic model of one request; batch rows have the same columns.
        response: Pydantic model of the answer.
        entities: Entity to the request column that identifies it.
        feature_sets: What is looked up for these entities.
        label: Column of the label in labelled rows.
        labelled: Labelled rows as known at a time: request columns, `event_at`, the label,
            `label_arrived_at`.
        requests: Rows of one day to be scored in batch: request columns, `event_at`.
        split: Lengths of the training set's spans and the label delay; None for the usual ones.
        build: A new, unfitted pipeline.
        load: Reads a saved pipeline.
        evaluate: Report of a fitted pipeline on the training set's test span, against baselines
            and the champion.
        gate: What the report must satisfy.
        budgets: Latency by stage, availability, freshness, cost.
        golden: Requests that a new bento must answer before it takes over.
        report: What callers may report of a past request, as analysts do; None: nothing.
        backtest: What its rules, or the named one, were worth on what became known, and what the
            champion, if there is one, made of them: a report as Markdown. None: it has no rules.
        outcomes: What became known of requests until a time, one row per label event:
            `request_id` (or `prediction_id`, the other null), `label`, `source`, `event_at`,
            `arrived_at`, and `precedence`: of a request's labels the largest counts, then the
            newest. None: nothing is ever known.
        flagged: Decisions that treat a row as positive.
        cost: Cost of each decision, from rows with `decision`, `label` and `request` (JSON).
        retraining: When it is trained beside its daily schedule.
        adjusting: How analysts' labels shift its scores between two trainings; None: they do not.
        items: What it chooses from; None: it judges the request itself. With items, labelled rows
            have one row per item shown (request columns, the item's column, `position`,
            `propensity`), its pipeline is an `ItemPipeline`, its response has `items`.
        index_gate: Why a new index may not serve, from the pipeline with the index that serves
            (None: there is none) and the pipeline with the new one; empty when it may.
        measures: Further figures of a day for its monitoring, read from its logs and the marts.
        path: Page of its service that answers requests.
        pages: Its further pages.
    """

    name: str
    owner: str
    contact: str
    decision: str
    request: type[BaseModel]
    response: type[BaseModel]
    entities: Mapping[Entity, str]
    feature_sets: tuple[FeatureSet, ...]
    label: str
    labelled: Callable[[Lake, datetime], pl.DataFrame]
    requests: Callable[[Lake, date], pl.DataFrame]
    build: Callable[[], Pipeline]
    load: Callable[[Path], Pipeline]
    evaluate: Callable[[Pipeline, TrainingSet, Pipeline | None], Report]
    gate: Gate
    budgets: Budgets
    golden: tuple[Mapping[str, Any], ...]
    split: Split | None = None
    outcomes: Callable[[Lake, datetime], pl.DataFrame] | None = None
    report: type[OutcomeReport] | None = None
    backtest: Callable[[Lake, str | None, Pipeline | None], str] | None = None
    flagged: tuple[str, ...] = ()
    cost: Callable[[pl.DataFrame], pl.Series] | None = None
    retraining: Retraining = field(default_factory=Retraining)
    adjusting: Adjusting | None = None
    items: Items | None = None
    index_gate: Callable[[ItemPipeline | None, ItemPipeline], tuple[str, ...]] | None = None
    measures: Callable[[Lake, date], Iterable[Measure]] | None = None
    path: str = "/score"
    pages: tuple[Page, ...] = ()

    @property
    def feature_set_ids(self) -> tuple[str, ...]:
        """Ids of all sets that its pipeline is fitted on: the request's, then the items'."""
        items = self.items.feature_sets if self.items else ()
        return tuple(feature_set.id for feature_set in (*self.feature_sets, *items))
