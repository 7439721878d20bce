from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.evaluation import CANDIDATE, Report, Scored, bootstrap, compare
from agora.metrics import average_precision
from agora.plots import plots
from tests.reports import METRICS, report


def test_the_first_draw_takes_every_row_once_and_the_others_whole_groups() -> None:
    groups = np.repeat(np.arange(50), 4)
    draws = np.concatenate(list(bootstrap(groups)))
    assert (draws[0] == 1).all()
    assert (draws.sum(axis=1) == 200).all()
    by_group = draws.reshape(len(draws), 50, 4)
    assert (by_group == by_group[:, :, :1]).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    hits = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = (rng.random(400) < 0.3).astype(float)
        found = compare(
            "x", {CANDIDATE: Scored(rng.random(400), {"share": labels})}, labels, np.arange(400),
            {"average_precision": average_precision}, primary="average_precision",
            slices={}, importance={}, spans={},
        ).metrics[CANDIDATE]["share"]  # fmt: skip
        hits.append(found.low <= 0.3 <= found.high)
    assert np.mean(hits) >= 0.85


def test_equal_inputs_give_equal_reports() -> None:
    assert report() == report()


def test_a_report_survives_json() -> None:
    made = report(champion=1.5)
    assert Report.from_json(made.to_json()) == made


def test_the_markdown_names_every_model_metric_and_slice() -> None:
    text = report(champion=1.0).markdown()
    for name in ("candidate", "rules", "champion", "average_precision", "cost", "band low"):
        assert name in text


def test_rows_without_a_value_are_no_slice() -> None:
    found = report()
    assert {part.value for part in found.slices} == {"low", "high"}
    labels = (np.arange(400) % 4 == 0).astype(float)
    with_gaps = compare(
        "fraud", {CANDIDATE: Scored(labels)}, labels, np.arange(400), METRICS,
        primary="average_precision",
        slices={"scheme": np.where(np.arange(400) < 100, "one", "")}, importance={}, spans={},
    )  # fmt: skip
    assert [(part.name, part.value, part.rows) for part in with_gaps.slices] == [
        ("scheme", "one", 100)
    ]


@pytest.mark.parametrize("rows", [0, 3_000])
def test_plots_are_images(rows: int) -> None:
    images: dict[str, Any] = plots(report(n=rows))
    assert set(images) == {"precision_recall.png", "calibration.png", "importance.png"}
    assert all(image.startswith(b"\x89PNG") for image in images.values())
