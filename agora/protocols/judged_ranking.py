"""A ranking learned from judgements: LambdaRank on the evidence, beside the plain fusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agora.protocols.judged_evidence import NAMES
from agora.ranking.lambdarank import Grouped, RankParams, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora.protocols.judged_evidence import Evidence

Array = np.ndarray[Any, Any]

# More words or meaning in common never speak against a document; few judgements need that said.
PARAMS = RankParams(
    rounds=150,
    leaves=7,
    learning_rate=0.05,
    rows_in_leaf=20,
    l2=20.0,
    columns=0.6,
    truncation=15,
    rising=NAMES,
    seeds=(0, 1, 2),
)


def learned(
    taught: Sequence[Evidence],
    gains: Sequence[Array],
    asked: Sequence[Evidence],
    params: RankParams = PARAMS,
) -> list[Array]:
    """Scores of the candidates of `asked`, by trees that learned from the grades of `taught`."""
    sample = Grouped(
        np.concatenate([evidence.matrix for evidence in taught]),
        np.concatenate(gains),
        np.repeat(np.arange(len(taught)), [len(evidence.rows) for evidence in taught]),
    )
    boosters = train(sample, NAMES, params)
    return [boosters.raw(evidence.matrix) for evidence in asked]
