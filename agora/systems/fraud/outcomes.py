"""What becomes known of payments after their decision, and what the decision then cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from agora.systems.fraud.costs import DECISIONS, Costs

if TYPE_CHECKING:
    from datetime import datetime

    from agora.stores.lake import Lake


def outcomes(lake: Lake, as_of: datetime) -> pl.DataFrame:
    """Verdicts and chargebacks that arrived before `as_of`; a chargeback outranks a verdict."""
    return lake.query(f"""
        select
            payment_id as request_id,
            is_fraud::double as label,
            source,
            event_at,
            arrived_at,
            (source = 'chargeback')::int as precedence
        from marts.payment_labels
        where arrived_at < timestamptz '{as_of.isoformat()}'
    """)


def cost(decided: pl.DataFrame) -> pl.Series:
    """Cost of each decision, in the currency of the amounts; null where the decision is unknown."""
    amount = decided["request"].str.json_path_match("$.amount").cast(pl.Float64).fill_null(0.0)
    costs = Costs().of(decided["label"].to_numpy(), amount.to_numpy())
    known = {decision: row for row, decision in enumerate(DECISIONS)}
    row = decided["decision"].replace_strict(known, default=-1, return_dtype=pl.Int64).to_numpy()
    taken = costs[row, np.arange(len(row))]
    return pl.Series("cost", np.where(row < 0, np.nan, taken)).fill_nan(None)
