"""The contract that every system's record keeps: what it says before anything is fitted."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from agora.budgets import Budgets
from agora.entities import FEATURE_SETS
from agora.registry import SYSTEMS
from agora.serving.fields import Fields
from tests.toy_items_system import toy_items_system

if TYPE_CHECKING:
    from agora.system import System

HEAVY = ("torch", "lightgbm", "sklearn", "mlflow", "matplotlib", "bentoml", "dagster", "pandas")
TOY = toy_items_system()


@pytest.fixture(scope="module", params=[*sorted(SYSTEMS), TOY.name])
def system(request: pytest.FixtureRequest) -> System:
    return SYSTEMS.get(request.param, TOY)


def test_a_system_says_who_owns_it_and_what_it_decides(system: System) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]+", system.name)
    assert system.owner == f"team:{system.name}"
    assert "@" in system.contact
    assert system.decision.endswith(".")
    assert isinstance(system.budgets, Budgets)


def test_the_card_of_a_system_is_its_docstring(system: System) -> None:
    if system is TOY:
        pytest.skip("its card would be a test's docstring")
    docstring = sys.modules[f"agora.systems.{system.name}"].__doc__ or ""
    for part in ("Decision:", "Label:", "Model:", "Metric:", "Gate:", "Data:", "Limits:"):
        assert f"\n{part}" in docstring


def test_feature_sets_are_declared_by_their_entities_and_columns_never_clash(
    system: System,
) -> None:
    items = system.items.feature_sets if system.items else ()
    columns = [c for s in (*system.feature_sets, *items) for c in (*s.columns, s.time_column)]
    assert len(columns) == len(set(columns))
    assert not set(columns) & set(system.request.model_fields)
    for feature_set in system.feature_sets:
        assert FEATURE_SETS[feature_set.name] is feature_set
        assert system.entities[feature_set.entity] in system.request.model_fields


def test_requests_forbid_what_they_do_not_know(system: System) -> None:
    for golden in system.golden:
        system.request.model_validate(golden)
        with pytest.raises(ValidationError, match="extra_forbidden"):
            system.request.model_validate({**golden, "surprise": 1})


@pytest.mark.parametrize("wrong", ["", "x" * 1_000_000, -1e300, float("nan"), [], {"a": 1}])
def test_requests_refuse_empty_huge_and_odd_values_in_every_field(
    system: System, wrong: Any
) -> None:
    kinds = Fields(system.request).kinds
    named = {next(iter(kinds)), *system.entities.values()}
    for name in system.request.model_fields:
        if (kinds[name] == "object" and wrong == []) or (
            # What is looked for may be nothing; who asks may not.
            system.items and wrong == "" and kinds[name] == "string" and name not in named
        ):
            continue
        with pytest.raises(ValidationError):
            system.request.model_validate({**system.golden[0], name: wrong})


def test_the_response_carries_what_the_platform_adds(system: System) -> None:
    assert {"prediction_id", "model_version", "degraded", "fallbacks"} <= set(
        system.response.model_fields
    )


def test_importing_a_system_is_light_and_loads_no_other(system: System) -> None:
    if system is TOY:
        pytest.skip("it is no package of its own")
    code = f"""
import sys, agora.systems.{system.name}
loaded = [name for name in {HEAVY!r} if name in sys.modules]
others = [name for name in sys.modules if name.startswith("agora.systems.")
          and not name.startswith("agora.systems.{system.name}")]
print(loaded + others)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
