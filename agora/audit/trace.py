"""From one prediction id back to the files that it stands on, and forward to its outcome."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from agora.audit.parity import SCORE_TOLERANCE
from agora.audit.replay import Load, decide_again, differ, joined, offline, requests_of, used
from agora.candidates import FALLBACKS
from agora.pipeline import PipelineError
from agora.schema import TIME
from agora.serving.golden import same
from agora.stores.lake import literal, quote
from agora.tables import TABLES

if TYPE_CHECKING:
    from agora.features import FeatureSet
    from agora.schema import Table
    from agora.stores.cards import ModelCard
    from agora.stores.lake import Lake
    from agora.system import System

ITEMS = "items"
"""Output column of the list, in systems of items."""
# The longest window of any feature; what is older changes none of them.
WINDOW = timedelta(days=31)


@dataclass(frozen=True)
class Trace:
    """Everything that one prediction stands on.

    Attributes:
        prediction: The logged record, without the features.
        features: Per feature set: id, table, Delta version, `feature_at`, `arrived_at`, whether the
            offline row of that name is equal, and the columns that differ.
        model: Version, training set and its Delta versions, code; empty if it is not registered.
        raw_files: Landing files that hold rows of the prediction's entities, by raw table: file,
            arrival day, rows.
        outcome: Labels of the request that are known by now, newest first.
        recomputed: Score computed again from the logged features; None if it could not be.
        differing: Fields of the answer that are others when it is decided again.
        problem: Why it could not.
    """

    prediction: dict[str, Any]
    features: list[dict[str, Any]]
    model: dict[str, Any]
    raw_files: list[dict[str, Any]]
    outcome: list[dict[str, Any]]
    recomputed: float | None = None
    differing: list[str] = field(default_factory=list)
    problem: str = ""
    tolerance: float = field(default=SCORE_TOLERANCE)

    @property
    def equal(self) -> bool:
        """Whether the score could be computed again and is the one that was answered."""
        return (
            self.recomputed is not None
            and abs(self.recomputed - self.prediction["score"]) <= self.tolerance
            and not self.differing
            and all(each["equal"] for each in self.features)
        )

    def to_json(self) -> str:
        """The trace as JSON."""
        return json.dumps({**asdict(self), "equal": self.equal}, indent=1, default=str)


def find(lake: Lake, system: str, prediction_id: str) -> pl.DataFrame:
    """The logged row of a prediction, live or batch; empty if there is none."""
    for table in (f"predictions/{system}", f"{system}/predictions"):
        if lake.exists(table):
            rows = lake.read(table, where=f"prediction_id = {literal(prediction_id)}")
            if len(rows):
                return rows.head(1)
    return pl.DataFrame()


def trace(
    system: System, lake: Lake, row: pl.DataFrame, load: Load, card: ModelCard | None
) -> Trace:
    """Follow one logged row.

    Args:
        system: Whose.
        lake: Where log, feature tables and raw tables are.
        row: What `find` gave.
        load: Gives a version's pipeline.
        card: Card of the version that answered, if it is registered.
    """
    record = row.drop("features").row(0, named=True)
    requests = requests_of(system, row)
    logged = {each.id: used(row, each) for each in system.feature_sets}
    recomputed, problem, differing = None, "", list[str]()
    try:
        pipeline = load(record["model_version"])
        frame = joined(system, requests, logged)
        rung = record.get("tier") if record.get("tier") in FALLBACKS else ""
        skipped = record.get("fallbacks") or []
        scores, decided = decide_again(pipeline, frame, skipped, rung or "")
        recomputed = float(scores[0])
        answered = json.loads(record["output"])
        differing = _differing(answered, decided)
        differing += [ITEMS] if ITEMS in decided and _other_items(system, answered, decided) else []
    except (LookupError, PipelineError) as error:
        problem = str(error)
    return Trace(
        prediction={**record, "request": json.loads(record["request"])},
        features=[
            _feature(system, lake, each, requests, logged[each.id]) for each in system.feature_sets
        ],
        model=_model(record["model_version"], card),
        raw_files=_raw_files(system, lake, requests, record["predicted_at"]),
        outcome=_outcome(system, lake, record),
        recomputed=recomputed,
        differing=differing,
        problem=problem,
    )


def _differing(answered: dict[str, Any], decided: dict[str, list[Any]]) -> list[str]:
    """Fields of the answer that differ from what is decided again; numbers within a tolerance."""
    return [
        name
        for name, (value,) in decided.items()
        if (
            abs(value - answered[name]) > SCORE_TOLERANCE
            if isinstance(value, float)
            else name == "decision" and value != answered[name]
        )
    ]


def _other_items(system: System, answered: dict[str, Any], decided: dict[str, list[Any]]) -> bool:
    """Whether the list is another, as the answer's model writes it."""
    again = {**answered, **{name: values[0] for name, values in decided.items()}}
    shown = system.response.model_validate(again).model_dump(mode="json")
    return not same(answered[ITEMS], shown[ITEMS], SCORE_TOLERANCE)


def _feature(
    system: System,
    lake: Lake,
    feature_set: FeatureSet,
    requests: pl.DataFrame,
    logged: pl.DataFrame,
) -> dict[str, Any]:
    ids = requests[system.entities[feature_set.entity]]
    held = offline(lake, feature_set, ids, logged)
    named = logged["feature_at"].item() is not None
    compared = named and held["is_known"].item()
    differing = [c for c in feature_set.columns if compared and differ(logged[c], held[c]).item()]
    return {
        "set": feature_set.id,
        "entity_id": ids.item(),
        "table": feature_set.table,
        "version": lake.version(feature_set.table) if lake.exists(feature_set.table) else None,
        "feature_at": logged["feature_at"].item(),
        "arrived_at": logged["arrived_at"].item(),
        "equal": not differing if named and compared else not named,
        "differing": differing,
    }


def _model(version: str, card: ModelCard | None) -> dict[str, Any]:
    if card is None:
        return {"version": version}
    made_of = card.training_set
    kept = ("table", "table_version", "as_of", "content_hash", "code_version", "tables", "upstream")
    return {
        "version": version,
        "owner": card.owner,
        "training_set": {name: made_of.get(name) for name in (*kept, "spans", "rows")},
        "feature_sets": card.feature_sets,
        "environment": card.environment,
    }


def _raw_files(
    system: System, lake: Lake, requests: pl.DataFrame, predicted_at: datetime
) -> list[dict[str, Any]]:
    """Files with rows of the request's entities that were known when it was answered.

    And files with rows of the request itself, whenever they came: it, and what became of it.
    """
    request_id = requests.columns[0]
    before = f"arrived_at < timestamptz '{predicted_at.isoformat()}'"
    recent = f"{before} and arrived_at >= timestamptz '{(predicted_at - WINDOW).isoformat()}'"
    itself = f"{quote(request_id)} = {literal(requests[request_id].item())}"
    tables = {name: table for name, table in TABLES.items() if lake.exists(f"raw/{name}")}
    keys = {name: _keys(system, table, requests) for name, table in tables.items()}
    of_entities = " union all ".join(
        f"select {quote(request_id)} from raw.{quote(name)} where ({keys[name]}) and {recent}"
        for name, table in tables.items()
        if keys[name] and request_id in _columns(table)
    )
    selects = []
    for name, table in tables.items():
        wanted = [f"({keys[name]}) and {before if _is_entity(system, table) else recent}"]
        if not keys[name]:
            linked = f"{quote(request_id)} in ({of_entities}) and {recent}"
            wanted = [linked] if of_entities and request_id in _columns(table) else []
        wanted += [itself] if request_id in _columns(table) else []
        if wanted:
            selects.append(
                f'select {literal(f"raw/{name}")} as "table", {lake.version(f"raw/{name}")} '
                "as version, source_file, arrival_date, count(*) as rows "
                f"from raw.{quote(name)} where {' or '.join(wanted)} group by all"
            )
    if not selects:
        return []
    # One query: opening the lake's tables takes longer than reading them.
    found = lake.query(f'{" union all ".join(selects)} order by "table", arrival_date, source_file')
    return found.to_dicts()


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _keys(system: System, table: Table, requests: pl.DataFrame) -> str:
    """Condition on a raw table's rows: they name an entity of the request."""
    return " or ".join(
        f"{quote(entity.key)} = {literal(requests[column].item())}"
        for entity, column in system.entities.items()
        if entity.key in _columns(table) and requests[column].item() is not None
    )


def _is_entity(system: System, table: Table) -> bool:
    """Whether the table's rows describe an entity: these stay true however old they are."""
    return table.key in {(entity.key,) for entity in system.entities}


def _outcome(system: System, lake: Lake, record: dict[str, Any]) -> list[dict[str, Any]]:
    table = f"{system.name}/outcomes"
    if not lake.exists(table):
        return []
    rows = lake.read(table, where=f"prediction_id = {literal(record['prediction_id'])}")
    times = [name for name, kind in rows.schema.items() if kind == TIME]
    return rows.sort(times, descending=True).to_dicts() if times else rows.to_dicts()
