from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from agora.cli import app
from agora.serving import Predictor
from agora.settings import Settings
from agora.stores.drain import drain
from agora.stores.lake import Lake
from agora.stores.models import ModelRegistry
from agora.stores.predictions import FilePredictionLog
from agora.systems.fraud import SYSTEM
from agora.systems.fraud.backtest import backtest, judge
from agora.systems.fraud.costs import Costs
from agora.systems.fraud.pipeline import FraudPipeline, Params
from agora.systems.fraud.routing import Acting
from agora.systems.fraud.rulebook import BOOK as BOOK_OF_FRAUD
from agora.systems.fraud.rules import Rule, Rulebook, RuleError, at_least
from tests.reports import report
from tests.systems.synthetic import rows, training_set

if TYPE_CHECKING:
    from pathlib import Path

COSTS = Costs()
pytestmark = pytest.mark.xdist_group("systems")


def rule(code: str, level: float, **changes: object) -> Rule:
    fields = {"weight": 0.5, "action": "decline", "mode": "shadow", **changes}
    return Rule(
        code=code,
        text="A large one.",
        since=date(2026, 11, 21),
        conditions=(at_least("amount", level),),
        **fields,
    )


BOOK = Rulebook([rule("large", 100.0), rule("larger", 200.0, version=2), rule("never", 1e9)])


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Payments of 10 to 300; the dearest third are frauds, and half of all were reviewed."""
    found = rows(SYSTEM, 300, seed=31)
    amount = np.arange(1, 301, dtype=float)
    return found.with_columns(
        amount=amount,
        is_fraud=amount > 200,
        decision=pl.Series(np.where(amount % 2, "review", "approve")),
    )


def test_hits_precision_recall_and_money_are_counted(frame: pl.DataFrame) -> None:
    found = judge(frame, "made", BOOK, COSTS)
    large, larger, never = found.rules.to_dicts()
    assert (found.payments, found.frauds) == (300, 100)
    assert (large["rule"], large["hits"], large["frauds"]) == ("large@1", 201, 100)
    assert large["precision"][0] == pytest.approx(100 / 201)
    assert larger["precision"][0] == pytest.approx(100 / 101)
    assert large["recall"][0] == 1
    assert large["precision"][1] < large["precision"][0] < large["precision"][2]
    assert larger["fraud_amount"] == sum(range(201, 301))
    assert larger["honest_amount"] == 200
    assert (never["hits"], never["changed"], never["saved"]) == (0, 0, 0)
    assert large["only_this"] == 100
    assert larger["only_this"] == 0
    assert found.overlap.row(0, named=True) == {
        "rule": "large@1", "other": "larger@2", "both": 101, "frauds": 100,
        "share": pytest.approx(101 / 201),
    }  # fmt: skip


def test_what_would_change_is_the_cost_of_the_decisions_taken_less_the_rules(
    frame: pl.DataFrame,
) -> None:
    larger = judge(frame, "made", BOOK, COSTS).rules.row(1, named=True)
    hit = frame.filter(pl.col("amount") >= 200)
    costs = COSTS.of(hit["is_fraud"].cast(float).to_numpy(), hit["amount"].to_numpy())
    taken = (hit["decision"] == "review").cast(int).to_numpy()
    expected = costs[taken, np.arange(hit.height)].sum() - costs[2].sum()
    assert larger["saved"] == pytest.approx(expected)
    assert larger["changed"] == hit.height


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Answers of a real Predictor, drained, with labels for some of the payments."""
    folder: Path = tmp_path_factory.mktemp("lake")
    lake = Lake(str(folder / "lake"))
    log = FilePredictionLog(folder / "log" / "fraud")
    pipeline = FraudPipeline(Params.quick()).fit(training_set(SYSTEM, 3_000))
    pipeline.version = "1"
    predictor = Predictor(SYSTEM, pipeline, log=log)
    now = datetime.now(UTC)
    for number in range(30):
        predictor.predict_one(
            {
                **SYSTEM.golden[0],
                "payment_id": f"p{number}",
                "amount": 1_000.0 if number < 10 else 20.0,
                # The newest are too young to be honest for want of a label.
                "event_at": now - timedelta(days=20 if number < 20 else 1),
            }
        )
    log.close()
    drain(folder / "log" / "fraud", lake)
    labels = pl.DataFrame({"payment_id": [f"p{n}" for n in range(8)], "is_fraud": [True] * 8})
    lake.write(
        "marts/payment_labels",
        labels.with_columns(source=pl.lit("chargeback"), event_at=now, arrived_at=now),
    )
    return lake


def test_rules_are_judged_on_the_labelled_log(lake: Lake) -> None:
    found = backtest(lake, rule="large_amount")
    assert (found.source, found.payments, found.frauds) == ("predictions/fraud", 20, 8)
    row = found.rules.row(0, named=True)
    assert (row["hits"], row["frauds"]) == (10, 8)
    assert found.rules.height == 1
    assert "| large_amount@1 | active | no champion | none | 10 | 8 | 0.800 (" in found.markdown()


def test_what_the_champion_made_of_a_rule_stands_beside_its_written_mode(
    frame: pl.DataFrame,
) -> None:
    champion = FraudPipeline()
    acting = Acting({"large": 0.75}, {"large": "declines 9 payments"})
    champion.acting_ = acting.without("larger", "declines 3 payments, 1 frauds")
    rules = [rule(code, 100.0, mode="active") for code in ("large", "larger", "newer")]
    speaking = rule("speaking", 100.0, mode="active", action="none")
    shadow = rule("shy", 100.0)
    book = Rulebook([*rules, speaking, shadow])
    found = judge(frame, "made", book, COSTS, champion=champion)
    assert dict(found.rules.select("rule", "champion").iter_rows()) == {
        "large@1": "declines at a score of 0.750",
        "larger@1": "shadow: declines 3 payments, 1 frauds",
        "newer@1": "not known to it",
        "speaking@1": "speaks",
        "shy@1": "shadow",
    }
    assert set(found.rules["mode"]) == {"active", "shadow"}


def test_a_rule_that_is_not_there_is_refused_by_name(lake: Lake) -> None:
    with pytest.raises(RuleError, match="rule 'large_amuont': code must be one of "):
        backtest(lake, rule="large_amuont")


def test_without_a_log_the_training_set_is_judged(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    with pytest.raises(LookupError, match="nothing to judge rules on"):
        backtest(lake)
    made = training_set(SYSTEM, 500)
    made.save(lake)
    found = backtest(lake)
    assert (found.source, found.payments) == ("fraud/training_set", made.frame.height)
    hits = dict(zip(found.rules["rule"], found.rules["hits"], strict=True))
    assert hits["large_amount@1"] == (made.frame["amount"] >= 1_000).sum()
    later = made.frame["event_at"].dt.date().max()
    assert backtest(lake, start=later).payments < made.frame.height


@pytest.mark.slow
def test_the_command_asks_the_champion_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, made = Settings(home=tmp_path), training_set(SYSTEM, 3_000)
    made.save(Lake(here.lake))
    pipeline = FraudPipeline(Params.quick()).fit(made)
    models = ModelRegistry(here)
    version = models.register(SYSTEM, pipeline, made.manifest, report(), table_version=0)
    monkeypatch.setattr("agora.commands.models.settings", lambda: here)
    before = CliRunner().invoke(app, ["backtest", "fraud"])
    models.promote(SYSTEM, version)
    after = CliRunner().invoke(app, ["backtest", "fraud"])
    assert (before.exit_code, after.exit_code) == (0, 0)
    assert before.output.count("| no champion |") == len(BOOK_OF_FRAUD.rules)
    assert "no champion" not in after.output
    for note in pipeline.acting_.notes.values():
        assert not note.startswith("shadow") or note in after.output
    for score in pipeline.acting_.scores.values():
        assert f"at a score of {score:.3f} |" in after.output
