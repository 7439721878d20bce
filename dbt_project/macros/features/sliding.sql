{#
  Sums over windows of days, for every midnight of the run, of what `held` holds: one row per version of an event with
  the entity's id, `event_day`, `first_day`, `last_day` and the measures.

  A version enters all windows that reach back to it on the first midnight that counts it, leaves each when it is too
  old and the rest when it is superseded. So it costs a row a window and one or two more, however long the windows are,
  and the sums are running ones. Measures must be whole: their sums are exact as doubles, so taking away leaves nothing
  behind.

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
        last_day,
        greatest(first_day, {{ window_start(mart) }}) as entered,
        {%- for measure in measures %}
        sum({{ measure }}::double) as {{ measure }},
        {%- endfor %}
        count(*)::double as versions
    from held
    where
        {{ entity_id }} is not null
        and greatest(first_day, {{ window_start(mart) }}) < least({{ window_end(mart) }}, event_day + 31)
    group by {{ entity_id }}, event_day, last_day, entered
),

expiries as (
    select *, unnest([{{ lengths | join(', ') }}, 31]) as days
    from spans
),

-- Windows from `shortest` to `longest` take the version in or let it go; 31 days is that of all versions.
changes as (
    select
        *,
        entered as feature_date,
        if(last_day < entered, 31, entered - event_day + 1) as shortest,
        31 as longest,
        1.0::double as direction
    from spans
    union all
    select
        * exclude (days),
        event_day + days,
        days,
        days,
        -1
    from expiries
    where event_day + days > entered and (days = 31 or last_day is null or event_day + days <= last_day + 1)
    union all
    select
        *,
        last_day + 1,
        last_day + 2 - event_day,
        30,
        -1
    from spans
    where last_day >= entered
),

sums as (
    select
        {{ entity_id }},
        feature_date,
        {%- for measure, windows in measures.items() %}
        {%- for window in windows %}
        sum(direction * {{ measure }}) filter (
            where shortest <= {{ window }} and longest >= {{ window }}
        ) as {{ measure }}_{{ window }}d,
        {%- endfor %}
        {%- endfor %}
        sum(direction * versions) filter (where longest = 31) as versions
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
  The share of customers, in millionths, who look at a place of a list, counted from 1. A fixed curve, the discount of
  DCG; the one place where it is declared.
#}
{% macro examination(position) -%}
    round(1000000 / log2({{ position }} + 1))
{%- endmacro %}
