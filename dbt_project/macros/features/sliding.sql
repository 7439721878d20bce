{#
  Sums over windows of days, for every midnight of the run, of what `held` holds: one row per version of an event with
  the entity's id, `event_day`, `first_day`, `last_day` and the measures.

  A version enters each window on the first midnight that counts it and leaves it on the first that no longer does, so it
  costs two rows a window however long that is, and the sums are running ones. They must be of whole numbers or
  decimals: then taking away leaves nothing behind.

  An entity has a row while a version of the last 31 days names it, in whatever state: the last row says zero.

  Args:
    entity_id: the entity's column.
    measures: columns of `held` that are summed, each with its windows in days; `<measure>_<window>d` comes out.
    mart: what says which days a run without days stands for.
#}
{% macro sliding_sums(entity_id, measures, mart) %}
{%- set lengths = measures.values() | sum(start=[]) | unique | sort -%}
with spans as (
    select
        {{ entity_id }},
        event_day,
        first_day,
        last_day,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
        count(*) as versions
    from held
    where {{ entity_id }} is not null
    group by {{ entity_id }}, event_day, first_day, last_day
),

stays as (
    select
        *,
        unnest([{{ lengths | join(', ') }}, null]) as days,
        greatest(first_day, {{ window_start(mart) }}) as entered,
        if(days is null, event_day + 31, least(last_day + 1, event_day + days)) as abandoned
    from spans
),

changes as (
    select
        *,
        unnest([entered, abandoned]) as feature_date,
        unnest([1, -1]) as direction
    from stays
    where entered < abandoned and entered < {{ window_end(mart) }}
),

sums as (
    select
        {{ entity_id }},
        feature_date,
        {%- for measure, windows in measures.items() %}
        {%- for window in windows %}
        sum(direction * {{ measure }}) filter (where days = {{ window }}) as {{ measure }}_{{ window }}d,
        {%- endfor %}
        {%- endfor %}
        sum(direction * versions) filter (where days is null) as versions
    from changes
    where feature_date < {{ window_end(mart) }}
    group by {{ entity_id }}, feature_date
),

states as (
    select
        {{ entity_id }},
        feature_date,
        {%- for measure, windows in measures.items() %}
        {%- for window in windows %}
        coalesce(sum({{ measure }}_{{ window }}d) over until_now, 0) as {{ measure }}_{{ window }}d,
        {%- endfor %}
        {%- endfor %}
        sum(versions) over until_now as versions,
        lead(feature_date, 1, {{ window_end(mart) }}) over until_now as next_date
    from sums
    window until_now as (partition by {{ entity_id }} order by feature_date)
)

select
    * exclude (feature_date, versions, next_date),
    feature_date + unnest(range(next_date - feature_date))::integer as feature_date
from states
where versions > 0
{% endmacro %}

{#
  The share of those who look at a place of a list, counted from 1: what a click at that place is worth. A fixed curve,
  the discount of DCG; the one place where it is declared.
#}
{% macro examination(position) -%}
    (1 / log2({{ position }} + 1))::decimal(9, 6)
{%- endmacro %}
