"""Two signs of searches that failed: nothing was found, or the customer typed anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from agora.monitoring.table import Measure
    from agora.stores.lake import Lake

ZERO, AGAIN, CORRECTED = "zero_result_share", "reformulation_share", "corrected_share"
# Who types something else within so long, having clicked nothing, did not find it.
MINUTES = 5


def measures(lake: Lake, day: date) -> Iterator[Measure]:
    """Shares of a day's answers without products, and of its searches that were typed anew."""
    # Here: a service monitors nothing.
    from agora.monitoring.table import Measure
    from agora.monitoring.traffic import count, of_day
    from agora.outcomes import logs_of

    for log, table in logs_of("search").items():
        rows = count(lake, table, day)
        if rows:
            zero, corrected = lake.query(f"""
                select
                    avg((json_extract(output, '$.total')::bigint = 0)::double),
                    avg(json_extract(output, '$.corrected')::boolean::double)
                from {of_day(lake, table, day)}
            """).row(0)
            yield Measure(ZERO, log, zero, rows=rows)
            yield Measure(CORRECTED, log, corrected, rows=rows)
    if lake.exists("marts/searches"):
        rows, share = lake.query(_reformulated(lake, day)).row(0)
        if rows:
            yield Measure(AGAIN, "", share, rows=rows)


def _reformulated(lake: Lake, day: date) -> str:
    """Searches of a day, and the share that another query of the visit followed without a click."""
    clicked = (
        f"select list_id from ({lake.scan('marts/interactions')}) where list_id is not null"
        if lake.exists("marts/interactions")
        else "select ''::varchar as list_id where false"
    )
    return f"""
        with clicked as ({clicked}), typed as (
            select
                search_id, lower(trim(query)) as query, event_at,
                lead(lower(trim(query))) over visit as next_query,
                lead(event_at) over visit as next_at
            from ({lake.scan("marts/searches")})
            where event_at::date between date '{day}' and date '{day}' + 1
            window visit as (partition by session_id order by event_at, search_id)
        )
        select
            count(*),
            avg(coalesce(
                next_query <> query and next_at <= event_at + interval {MINUTES} minute
                and search_id not in (select list_id from clicked),
                false
            )::double)
        from typed
        where event_at::date = date '{day}'
    """
