"""Metrics: what happened is counted, in a bounded number of series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agora.serving.metrics import Metrics
from agora.settings import Settings
from tests.serving.pages import Pages, pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Pages]:
    with pages(Settings(home=tmp_path / "home", metrics_open=True)) as running:
        yield running


def series(text: str) -> dict[tuple[str, ...], float]:
    """Value by name and labels, without what the process itself tells."""
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k != "system")):
            sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith("agora") and not sample.name.endswith("_created")
    }  # fmt: skip


def test_answers_stages_and_refusals_are_counted(shop: Pages) -> None:
    token = shop.keys.create("shop", "score")
    for number in range(3):
        assert shop.score(token, number).status_code == 200
    shop.store.down = True
    shop.score(token, 3)
    shop.score("agora_wrong")
    found = series(shop.ask("GET", "/metrics").text)
    answers = {key: value for key, value in found.items() if key[0] == "agora_answers_total"}
    assert sum(answers.values()) == 4
    assert sum(value for key, value in answers.items() if "degraded=yes" in key) == 1
    assert found["agora_fallbacks_total", "part=store"] == 1
    assert found["agora_refusals_total", "reason=unknown_key", "status=401"] == 1
    assert found["agora_model_info", "version=1"] == 1
    for stage in ("gateway", "feature_lookup", "inference", "serialisation"):
        assert found["agora_stage_seconds_count", f"stage={stage}"] == 4
        assert found["agora_stage_seconds_bucket", "le=+Inf", f"stage={stage}"] == 4
        assert 0 < found["agora_stage_seconds_sum", f"stage={stage}"] < 4
    assert found["agora_log_bytes",] > 0
    assert 0 <= found["agora_log_oldest_seconds",] < 60


def test_a_thousand_odd_paths_and_keys_add_no_series(shop: Pages) -> None:
    for path, token in (("/a", "agora_x"), ("/score", "agora_x")):
        for _ in range(40):
            shop.ask("POST", path, token)
    shop.ask("GET", "/metrics")
    before = series(shop.ask("GET", "/metrics").text).keys()
    for number in range(500):
        shop.ask("POST", f"/odd-{number}", f"agora_{number}")
        shop.ask("POST", "/score", f"agora_{number}", headers={"X-Request-Id": f"odd-{number}-id"})
    assert series(shop.ask("GET", "/metrics").text).keys() == before


def test_names_that_others_choose_are_bounded() -> None:
    metrics = Metrics("toy")
    for number in range(1_000):
        name = f"n-{number}"
        metrics.answered({f"inference/{name}": 1_000}, name, name, [name])
        metrics.repeated(name)
        metrics.breaker_changed(name, "open")
    found = series(metrics.text().decode())
    assert len(found) < 70 * 5 + 70 * 17
    assert sum(v for key, v in found.items() if key[0] == "agora_answers_total") == 1_000
    assert found["agora_stage_seconds_count", "stage=other"] > 900


@pytest.mark.parametrize(
    ("nanoseconds", "bound"), [(1, "0.0001"), (100_000, "0.0001"), (100_001, "0.00025"),
                               (1_000_000_000, "1.0"), (1_000_000_001, "+Inf")],
)  # fmt: skip
def test_a_time_falls_into_the_bucket_that_holds_it(nanoseconds: int, bound: str) -> None:
    metrics = Metrics("toy")
    metrics.answered({"inference": nanoseconds}, "light", "approve", [])
    found = series(metrics.text().decode())
    filled = [key[1] for key, value in found.items()
              if key[0] == "agora_stage_seconds_bucket" and value]  # fmt: skip
    assert filled[0] == f"le={bound}"
    assert found["agora_stage_seconds_sum", "stage=inference"] == nanoseconds / 1e9
