from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import ValidationError

from agora.budgets import load_budgets, slow
from agora.registry import SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

FRAUD = SYSTEMS["fraud"].budgets.model_dump()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages_ms": {**FRAUD["stages_ms"], "inference": 121}}, "add up to 301 ms"),
        ({"goal_p99_ms": 301}, "lies above p99_ms"),
        ({"availability": 1.5}, "availability"),
        ({"cost_per_prediction_usd": 0}, "cost_per_prediction_usd"),
        ({"latency": 1}, "latency"),
        ({"give_up": 0.9}, "give_up"),
        ({"gate": 1.0}, "gate"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "budgets.yml"
    path.write_text(yaml.safe_dump({**FRAUD, **change}))
    with pytest.raises(ValidationError, match=message):
        load_budgets(path)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "budgets.yml"
    path.write_text(yaml.safe_dump(FRAUD))
    assert load_budgets(path) == SYSTEMS["fraud"].budgets


def test_a_stage_is_given_up_after_its_factor_times_its_budget_and_not_at_it() -> None:
    budgets = SYSTEMS["recommendation"].budgets
    assert budgets.give_up > 1
    assert budgets.give_up_seconds("retrieval") == pytest.approx(
        budgets.stages_ms["retrieval"] * budgets.give_up / 1e3
    )
    assert budgets.give_up_seconds("total") == pytest.approx(budgets.p99_ms * budgets.give_up / 1e3)
    assert budgets.give_up_seconds("inference/trees") == pytest.approx(
        budgets.tiers_ms["trees"] * budgets.give_up / 1e3
    )
    assert budgets.give_up_seconds("unheard") is None


def test_lists_keep_to_the_hundred_milliseconds_of_the_design() -> None:
    assert {SYSTEMS[name].budgets.p99_ms for name in ("recommendation", "search")} == {100}


@pytest.mark.parametrize(
    ("own", "serving", "reasons"),
    [
        ({"inference": 119.0}, {}, []),
        ({"inference": 121.0}, {}, ["inference: 121.0 ms, budget 120 ms"]),
        ({"inference": 121.0}, {"inference": 20.0}, ["inference: 121.0 ms, budget 120 ms"]),
        # The machine is at fault: what serves is over its budget in the same minute.
        ({"inference": 150.0}, {"inference": 130.0}, []),
        (
            {"inference": 600.0},
            {"inference": 130.0},
            ["inference: 600.0 ms, 4.6 times the version that serves"],
        ),
        # Within its budget, and yet not what it was.
        (
            {"total": 31.0},
            {"total": 10.0},
            ["total: 31.0 ms, 3.1 times the version that serves"],
        ),
        ({"total": 29.0}, {"total": 10.0}, []),
        # Nobody waits for it.
        ({"serialisation": 1.0}, {"serialisation": 0.1}, []),
        ({"inference/deep": 10.0}, {"inference/light": 1.0}, []),
    ],
)
def test_a_version_is_too_slow_by_itself_or_beside_the_one_that_serves(
    own: dict[str, float], serving: dict[str, float], reasons: list[str]
) -> None:
    assert slow(SYSTEMS["fraud"].budgets, own, serving) == reasons
