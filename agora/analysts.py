"""Learning from analysts within a minute: labels since the training become adjustments, or not.

In this order: what analysts said (`known_labels`), the predictions that they spoke of (`evidence`),
the shift of each merchant's or device's log-odds that explains the labels (`shifts`), a gate that
tries it on rows it has not seen (`judge`), and `adjust`, which puts it in force or writes down why
not.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl

from agora import adjustments as files
from agora.adjustments import SHIFT, Adjusting, Adjustments, parted, shifted
from agora.audit.replay import joined, requests_of, used
from agora.cascade import Inferred
from agora.metrics import average_precision
from agora.pipeline import columns_of
from agora.stores import deployments
from agora.stores.decisions import Decision, record
from agora.stores.drain import drain
from agora.stores.lake import Lake, quote
from agora.stores.models import ModelRegistry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agora.pipeline import Pipeline
    from agora.settings import Settings
    from agora.system import System

Array = np.ndarray[Any, Any]
Shifts = dict[str, dict[str, float]]

TIME = pl.Datetime("us", "UTC")
# A day may be built late; what arrived before is in the lake.
FRESH = timedelta(days=3)
FOLDS = 5
ROUNDS = 25
# The newest decisions, on which the gate counts how many would change.
RECENT_ROWS = 2_000
# So few changed decisions are no wave, however small the log.
FEW_CHANGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the gate found.

    Attributes:
        reasons: What does not hold; empty when the shifts may be put in force.
        held: What holds.
        metrics: What it looked at.
    """

    reasons: tuple[str, ...]
    held: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What came of the newest labels: `none`, `adjusted` or `refused`, with the version and why."""

    action: str
    version: str = ""
    reasons: tuple[str, ...] = ()


def adjust(
    system: System,
    settings: Settings,
    *,
    now: datetime | None = None,
    by: str = "sensor:labels",
    run_id: str | None = None,
) -> Change:
    """Learn from the labels since the model was trained; does nothing where none are new.

    Args:
        system: Whose.
        settings: The instance.
        now: The time.
        by: What asks for it, for the record.
        run_id: Run that asks for it; the labels' own mark by default, so that a repetition
            records nothing twice.
    """
    rule, lake = system.adjusting, Lake(settings.lake, settings.lake_options)
    served = _served(system, settings)
    if rule is None or served is None:
        return Change("none", reasons=("nothing is adjusted or nothing serves",))
    now, (version, folder) = now or datetime.now(UTC), served
    drain(settings.prediction_log / system.name, lake)
    rows = evidence(system, lake, version, known_labels(system, settings, lake, now, rule), now)
    mark = _mark(version, rows)
    current = files.Adjustments.load(settings.adjustments, system.name)
    before = current if current and current.model_version == version else None
    if rows.is_empty() or (before and before.labels == mark):
        return Change("none", reasons=("no new labels",))
    found = shifts(rows, rule, now)
    if not found and before is None:
        return Change("none", reasons=("the labels are what the model expects",))
    number = files.next_number(settings.adjustments, system.name)
    made = Adjustments(
        system=system.name, number=number, model_version=version, made_at=now,
        half_life_hours=rule.half_life / timedelta(hours=1), shifts=found, labels=mark,
    )  # fmt: skip
    judged = judge(system, system.load(folder), lake, rows, made, now)
    if not judged.reasons:
        files.publish(settings.adjustments, made)
    change = Change(
        "refused" if judged.reasons else "adjusted",
        f"{version}+a{number}",
        judged.reasons or judged.held,
    )
    record(
        lake,
        Decision(
            system=system.name,
            version=change.version,
            action="refused" if judged.reasons else "adjusted",
            by="gate" if judged.reasons else by,
            stimulus=by,
            run_id=run_id or mark,
            reasons=change.reasons,
            metrics=judged.metrics,
            champion_before=version,
            champion_after=version,
            at=now,
        ),
    )
    return change


def withdraw(system: System, settings: Settings, *, by: str, reason: str = "") -> bool:
    """Put no adjustments in force and write down who wanted it; whether there were any."""
    current = files.Adjustments.load(settings.adjustments, system.name)
    if current is None:
        return False
    files.withdraw(settings.adjustments, system.name)
    record(
        Lake(settings.lake, settings.lake_options),
        Decision(
            system=system.name,
            version=f"{current.model_version}+a{current.number}",
            action="withdrawn",
            by=by,
            reasons=[reason] if reason else [],
            champion_before=current.model_version,
            champion_after=current.model_version,
        ),
    )
    return True


def known_labels(
    system: System, settings: Settings, lake: Lake, now: datetime, rule: Adjusting
) -> pl.DataFrame:
    """What analysts said within the window: from the lake, and what has only just arrived."""
    parts: list[pl.DataFrame] = []
    if system.outcomes is not None:
        # Labels have no table before the first day is built.
        with suppress(duckdb.CatalogException):
            parts.append(system.outcomes(lake, now + timedelta(microseconds=1)))
    if rule.fresh is not None:
        # Only the window's last days: what is older has been taken into the lake.
        parts.append(rule.fresh(settings, now - FRESH))
    wanted = {
        "request_id": pl.String(), "prediction_id": pl.String(), "label": pl.Float64(),
        "source": pl.String(), "arrived_at": TIME,
    }  # fmt: skip
    alike = [
        part.select(
            (pl.col(name) if name in part.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in wanted.items()
        )
        for part in parts
    ]
    return pl.concat([pl.DataFrame(schema=wanted), *alike]).filter(
        pl.col("source").is_in(system.retraining.label_sources)
        & pl.col("arrived_at").is_between(now - rule.window, now)
    )


def evidence(
    system: System, lake: Lake, version: str, labels: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """Predictions of this model with the newest label of each; also `label` and `labelled_at`."""
    rows = _logged(system, lake, version, now)
    if rows.is_empty() or labels.is_empty():
        return pl.DataFrame()
    newest = labels.sort("arrived_at").rename({"arrived_at": "labelled_at"})
    kept = ["label", "labelled_at"]
    by_request = newest.drop_nulls("request_id").unique("request_id", keep="last")
    by_prediction = newest.drop_nulls("prediction_id").unique("prediction_id", keep="last")
    return (
        rows.join(by_prediction.select("prediction_id", *kept), on="prediction_id", how="left")
        .join(by_request.select("request_id", *kept), on="request_id", how="left", suffix="_of")
        .with_columns(pl.coalesce(name, f"{name}_of").alias(name) for name in kept)
        .drop(f"{name}_of" for name in kept)
        .drop_nulls("label")
        .sort("prediction_id")
    )


def shifts(rows: pl.DataFrame, rule: Adjusting, now: datetime) -> Shifts:
    """Shift of each entity's log-odds that explains its labels best, drawn towards zero.

    The mode of the posterior under a normal prior, over all entities at once: a merchant and a
    device that stand for the same payments share what these say. The model's own scores are what
    was expected, so it does not matter that analysts look at suspicious payments only.
    """
    scores = np.clip(rows["score"].to_numpy(), files.EDGE, 1 - files.EDGE)
    expected, labels = np.log(scores / (1 - scores)), rows["label"].to_numpy()
    age = (now - rows["labelled_at"]).dt.total_microseconds().to_numpy() / 1e6
    weights = 0.5 ** (np.maximum(age, 0.0) / rule.half_life.total_seconds())
    known = {each.name: _codes(_ids(rows, each.name)) for each in rule.entities}
    values = {name: np.zeros(len(ids)) for name, (ids, _) in known.items()}
    counts = {
        name: np.bincount(codes[codes >= 0], minlength=len(ids))
        for name, (ids, codes) in known.items()
    }
    for _ in range(ROUNDS):
        for name, (ids, codes) in known.items():
            total = expected + sum(_of(values[each], known[each][1]) for each in known)
            chance = 1 / (1 + np.exp(-total))
            has = codes >= 0
            pull = _sums(codes, has, weights * (labels - chance), len(ids))
            bend = _sums(codes, has, weights * chance * (1 - chance), len(ids))
            step = (pull - values[name] / rule.prior**2) / (bend + 1 / rule.prior**2)
            step[counts[name] < rule.fewest_labels] = 0.0
            # A step of Newton's may overshoot where the model was very sure.
            values[name] = np.clip(values[name] + np.clip(step, -1, 1), -rule.most, rule.most)
    found = {
        name: {
            str(ids[n]): round(float(values[name][n]), 6)
            for n in np.flatnonzero(np.abs(values[name]) >= rule.least)
        }
        for name, (ids, _) in known.items()
    }
    return {name: table for name, table in found.items() if table}


def judge(
    system: System,
    pipeline: Pipeline,
    lake: Lake,
    rows: pl.DataFrame,
    made: Adjustments,
    now: datetime,
) -> Judged:
    """Try shifts on labelled rows that they were not learned from, and count changed decisions."""
    rule = system.adjusting
    assert rule is not None
    labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    unseen = _unseen(rows, rule, made, now)
    before, after = scores, shifted(scores, unseen)
    measured = {
        "labels": float(len(rows)),
        "average_precision/before": float(average_precision(labels, before, _once(labels))[0]),
        "average_precision/after": float(average_precision(labels, after, _once(labels))[0]),
        **_costs(system, pipeline, rows, unseen),
    }
    recent = _logged(system, lake, made.model_version, now).tail(RECENT_ROWS)
    changed = _changed(system, pipeline, recent, _shift(recent, made))
    measured |= {"decisions": float(len(recent)), "decisions/changed": float(changed)}
    said = list(_said(measured, rule))
    return Judged(
        reasons=tuple(words for holds, words in said if not holds),
        held=tuple(words for holds, words in said if holds),
        metrics={name: value for name, value in measured.items() if value == value},
    )


def _said(measured: Mapping[str, float], rule: Adjusting) -> list[tuple[bool, str]]:
    before, after = (measured[f"average_precision/{when}"] for when in ("before", "after"))
    allowed = max(FEW_CHANGES, int(rule.most_changed * measured["decisions"]))
    said = [
        (
            # Without a fraud among the labels there is no precision to lose.
            not after < before - rule.tolerance,
            f"average precision of unseen labels {before:.3f} before, {after:.3f} after",
        ),
        (
            measured["decisions/changed"] <= allowed,
            f"{measured['decisions/changed']:.0f} of {measured['decisions']:.0f} recent decisions "
            f"change, at most {allowed}",
        ),
    ]
    if "cost/after" in measured:
        cost, then = measured["cost/before"], measured["cost/after"]
        said.append(
            (
                then <= cost + rule.tolerance * abs(cost),
                f"cost of unseen labels {cost:.2f} before, {then:.2f} after",
            )
        )
    return said


def _unseen(rows: pl.DataFrame, rule: Adjusting, made: Adjustments, now: datetime) -> Array:
    """Shift of each labelled row as learned from the other folds."""
    # By prediction, not by position: a row stays in its fold when others come.
    fold = rows["prediction_id"].hash(0).to_numpy() % FOLDS
    total = np.zeros(len(rows))
    for number in range(FOLDS):
        inside = fold == number
        if not inside.any() or inside.all():
            continue
        learned = Adjustments(
            system=made.system, number=made.number, model_version=made.model_version,
            made_at=made.made_at, half_life_hours=made.half_life_hours,
            shifts=shifts(rows.filter(~inside), rule, now),
        )  # fmt: skip
        total[inside] = _shift(rows.filter(inside), learned)
    return total


def _costs(
    system: System, pipeline: Pipeline, rows: pl.DataFrame, shift: Array
) -> dict[str, float]:
    if system.cost is None:
        return {}
    decided = _decided(system, pipeline, rows, shift)
    if decided is None:
        return {}
    costs = [
        system.cost(
            rows.select("label", "request").with_columns(decision=pl.Series(each, dtype=pl.String))
        ).sum()
        for each in decided
    ]
    return {"cost/before": float(costs[0]), "cost/after": float(costs[1])}


def _changed(system: System, pipeline: Pipeline, rows: pl.DataFrame, shift: Array) -> int:
    moved = np.flatnonzero(shift)
    if not len(moved):
        return 0
    decided = _decided(system, pipeline, rows[moved], shift[moved])
    return int((decided[0] != decided[1]).sum()) if decided else len(moved)


def _decided(
    system: System, pipeline: Pipeline, rows: pl.DataFrame, shift: Array
) -> tuple[Array, Array] | None:
    """Decisions on logged requests without and with a shift; None for a system without any."""
    features = {each.id: used(rows, each) for each in system.feature_sets}
    columns = columns_of(joined(system, requests_of(system, rows), features))
    matrix = pipeline.decode(columns)
    inferred = pipeline.infer(matrix)
    moved = Inferred(shifted(inferred.scores, shift), inferred.tiers, inferred.skipped)
    before = pipeline.decide(inferred, matrix, columns)
    after = pipeline.decide(moved, matrix, {**columns, SHIFT: shift})
    if "decision" not in before:
        return None
    return np.array(before["decision"], object), np.array(after["decision"], object)


def _logged(system: System, lake: Lake, version: str, now: datetime) -> pl.DataFrame:
    """The model's live predictions within the window, adjusted or not, oldest first."""
    table = f"predictions/{system.name}"
    assert system.adjusting is not None
    if not lake.exists(table):
        return pl.DataFrame()
    since = now - system.adjusting.window
    rows = lake.query(
        "select prediction_id, request_id, model_version, entity_ids, request, features, "
        "fallbacks, score, decision, event_at, predicted_at "
        f"from predictions.{quote(system.name)} "
        f"where prediction_date >= date '{since.date()}' "
        # What answered without features is not what the model expects.
        "and not degraded order by predicted_at, prediction_id"
    )
    versions = {each: parted(each)[0] for each in rows["model_version"].unique()}
    own = [each for each, model in versions.items() if model == version]
    return rows.filter(pl.col("model_version").is_in(own))


def _served(system: System, settings: Settings) -> tuple[str, Path] | None:
    """The model that serves: the deployment's, or the champion where nothing is deployed."""
    pointer = deployments.read(settings.deployments, system.name)
    if pointer is not None:
        return pointer.current.version, Path(pointer.current.model)
    models = ModelRegistry(settings)
    version = models.alias(system)
    return (version, models.folder(system, version)) if version else None


def _mark(version: str, rows: pl.DataFrame) -> str:
    """Changes with the labels and with nothing else."""
    if rows.is_empty():
        return ""
    said = rows.select("prediction_id", "label", "labelled_at").write_csv()
    return hashlib.sha256(f"{version}\n{said}".encode()).hexdigest()[:16]


def _ids(rows: pl.DataFrame, entity: str) -> pl.Series:
    """Id of each row's entity, null where it has none."""
    own = pl.element().struct.field("entity") == entity
    found = rows["entity_ids"].list.eval(pl.element().filter(own).struct.field("id"))
    return found.list.first()


def _shift(rows: pl.DataFrame, made: Adjustments) -> Array:
    ids = {entity: _ids(rows, entity).to_numpy() for entity in made.shifts}
    return made.shift(ids, rows["event_at"].dt.epoch("us").to_numpy())


def _codes(ids: pl.Series) -> tuple[Array, Array]:
    """Distinct ids, and the position of each row's among them; -1 where there is none."""
    distinct = ids.drop_nulls().unique().sort()
    positions = ids.replace_strict(
        distinct, pl.Series(range(len(distinct)), dtype=pl.Int64), default=-1,
        return_dtype=pl.Int64,
    )  # fmt: skip
    return distinct.to_numpy(), positions.to_numpy()


def _of(values: Array, codes: Array) -> Array:
    return np.append(values, 0.0)[codes]


def _sums(codes: Array, has: Array, values: Array, count: int) -> Array:
    return np.bincount(codes[has], weights=values[has], minlength=count)


def _once(labels: Array) -> Array:
    return np.ones((1, len(labels)))
