{#
  When versions of an entity's events arrived, and the frontier then: the latest event known of the entity by then, over
  all versions. It never moves back. A correction that takes an event away from an entity is a moment of that entity too.
#}
{% macro frontiers_of(entity_id, mart='payments') %}
with arrivals as (
    select distinct
        known.{{ entity_id }},
        arriving.arrived_at
    from {{ ref(mart) }} as arriving
    inner join {{ ref(mart) }} as known using ({{ mart[:-1] }}_id)
    where
        arriving.arrival_date >= {{ window_start(mart) }}
        and arriving.arrival_date < {{ window_end(mart) }}
        and known.arrived_at <= arriving.arrived_at
        and known.{{ entity_id }} is not null
),

-- What came before the run is one moment: only its latest event matters.
events as (
    select
        {{ entity_id }},
        greatest(arrived_at, {{ window_start(mart) }}::timestamptz - interval '1 microsecond') as arrived_at,
        event_at
    from {{ ref(mart) }}
    where
        arrival_date < {{ window_end(mart) }}
        and {{ entity_id }} in (select {{ entity_id }} from arrivals)
    union all
    select {{ entity_id }}, arrived_at, null from arrivals
),

latest as (
    select
        {{ entity_id }},
        arrived_at,
        max(max(event_at)) over (partition by {{ entity_id }} order by arrived_at) as feature_at
    from events
    group by {{ entity_id }}, arrived_at
)

select
    {{ entity_id }},
    feature_at,
    arrived_at,
    arrived_at::date as feature_date
from latest
where arrived_at >= {{ window_start(mart) }}::timestamptz
{% endmacro %}
