"""Batch scoring: rows of the prediction table, built column by column."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import polars as pl

from agora.candidates import Retrieved
from agora.dataset import point_in_time
from agora.pipeline import chunks
from agora.schema import TIME
from agora.serving.answering import RETRIEVAL
from agora.stores.drain import PARTITION, SCHEMA

if TYPE_CHECKING:
    from datetime import date

    from agora.features import FeatureSet
    from agora.pipeline import Pipeline
    from agora.serving.predictor import Predictor
    from agora.stores.lake import Lake

# Answers whose form is checked one by one; the rest have the same columns and types.
CHECKED_ROWS = 100
FACTS: dict[str, pl.DataType] = {
    "score": pl.Float64(),
    "tier": pl.String(),
    "fallbacks": pl.List(pl.String),
}
NAMESPACE = uuid.UUID("6f1d1b0e-6f5b-5a57-9e0c-0c6d7b6f2a11")
"""Below which the ids of batch predictions are made."""


def score_batch(
    predictor: Predictor, lake: Lake, frame: pl.DataFrame, day: date | None
) -> pl.DataFrame:
    """See `Predictor.predict_batch`."""
    requests = predictor.requests.cast(frame)
    key = requests[predictor.requests.id_field]
    if key.n_unique() < key.len():
        raise ValueError(f"{key.name} comes twice in one batch; its predictions would share an id")
    system, version = predictor.system, predictor.pipeline.version
    newest = requests["event_at"].max()
    if day is None:
        day = newest.date() if isinstance(newest, datetime) else datetime.now(UTC).date()
    joined = point_in_time(lake, requests, system.entities, system.feature_sets)
    output, facts = _score(predictor.pipeline, joined)
    answers = output.with_columns(
        prediction_id=prediction_ids(system.name, version, day, key),
        model_version=pl.lit(version),
        degraded=facts["fallbacks"].list.len() > 0,
        fallbacks=facts["fallbacks"],
    )
    for answer in answers.head(CHECKED_ROWS).to_dicts():
        predictor.response(answer)
    return _rows(predictor, joined, answers, facts, day)


def prediction_ids(system: str, version: str, day: date, requests: pl.Series) -> pl.Series:
    """One id per request, equal in every run: uuid5 of system, version, day and request id."""
    prefix = f"{system}/{version}/{day}/"
    space = "".join(f"\\x{byte:02X}" for byte in NAMESPACE.bytes)
    frame = requests.to_frame("request")
    with duckdb.connect(":memory:") as connection:
        connection.register("requests", frame.to_arrow())
        ids = connection.sql(
            f"""
            with digests as (
                select sha1('{space}'::blob || encode($prefix || request)) as digest from requests
            )
            select
                digest[1:8] || '-' || digest[9:12] || '-5' || digest[14:16] || '-'
                || substr('89ab', 1 + ('0x' || digest[17])::int % 4, 1) || digest[18:20]
                || '-' || digest[21:32] as prediction_id
            from digests
            """,
            params={"prefix": prefix},
        ).to_arrow_table()
    return pl.Series(pl.DataFrame(ids)["prediction_id"])


def _score(pipeline: Pipeline, joined: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Output columns; and of each row its score, the tier that gave it, and what did not answer."""
    outputs, facts = [], []
    names = np.array([*(tier.name for tier in pipeline.tiers), RETRIEVAL], dtype=object)
    for columns in chunks(pipeline, joined):
        matrix = pipeline.decode(columns)
        inferred = pipeline.infer(matrix)
        decided = pl.DataFrame(
            pipeline.decide(inferred, matrix, columns), schema=dict(pipeline.outputs)
        )
        scores, tiers, skipped = pl.Series(inferred.scores), inferred.tiers, inferred.skipped
        if isinstance(columns, Retrieved):
            # A list's tier is the dearest that scored one of its candidates; without any: none.
            tiers = np.full(len(decided), -1)
            np.maximum.at(tiers, columns.candidates.request, inferred.tiers)
            scores = decided["score"]
            skipped = (*columns.candidates.skipped, *skipped)
        outputs.append(decided)
        facts.append(
            pl.DataFrame(
                {
                    "score": scores,
                    "tier": names[tiers],
                    "fallbacks": [list(skipped)] * len(decided),
                },
                schema=FACTS,
            )
        )
    return pl.concat(outputs), pl.concat(facts)


def _rows(
    predictor: Predictor,
    joined: pl.DataFrame,
    answers: pl.DataFrame,
    facts: pl.DataFrame,
    day: date,
) -> pl.DataFrame:
    system = predictor.system
    columns: dict[str, pl.Expr | pl.Series] = {
        "prediction_id": answers["prediction_id"],
        "system": pl.lit(system.name),
        "model_version": answers["model_version"],
        "request_id": pl.col(predictor.requests.id_field),
        "entity_ids": pl.concat_list(
            pl.struct(entity=pl.lit(entity.name), id=pl.col(column))
            for entity, column in system.entities.items()
        ),
        "request": pl.struct(list(predictor.requests.kinds)).struct.json_encode(),
        "features": pl.concat_list(_used(feature_set) for feature_set in system.feature_sets),
        "score": facts["score"],
        "output": answers.select(pl.struct(pl.all()).struct.json_encode()).to_series(),
        "decision": answers["decision"] if "decision" in answers.columns else pl.lit(None),
        "degraded": answers["degraded"],
        "tier": facts["tier"],
        "fallbacks": answers["fallbacks"],
        "event_at": pl.col("event_at"),
        "predicted_at": pl.lit(datetime.now(UTC)),
        PARTITION: pl.lit(day),
    }
    rows = joined.select(**columns)
    return rows.select(
        (pl.col(name) if name in columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in SCHEMA.items()
    )


def _used(feature_set: FeatureSet) -> pl.Expr:
    return pl.struct(
        feature_set=pl.lit(feature_set.id),
        feature_at=pl.col(feature_set.time_column).cast(TIME),
        values=pl.concat_list(pl.col(feature_set.columns).cast(pl.Float64)),
    )
