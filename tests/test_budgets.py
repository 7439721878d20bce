from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import ValidationError

from agora.budgets import load_budgets
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
