{#
  One row per entity and moment at which a version of one of its payments arrived: short windows up to the frontier, the
  latest event known of the entity, over the versions that held at that moment.

  The frontier never moves back, so the row that arrived last is the state. A correction that takes a payment away from
  an entity is a moment of that entity too.

  Versions meet moments by an equality of entity and time bucket (a bucket is as long as the longest window, each version
  stands in its own and in the next one), so a busy entity costs its payments times those of one window.

  Args:
    entity: customer, card, merchant or device.
    windows: window lengths; the last is the longest.
    others: other entities of which different ones are counted, with the window.
    latest: columns of the latest payment.
#}
{% macro recent_windows(entity, windows, others={}, latest=[]) %}
{%- set entity_id = entity ~ '_id' -%}
{%- set lengths = {'5m': "interval '5 minutes'", '1h': "interval '1 hour'", '24h': "interval '24 hours'"} -%}
{%- set longest = lengths[windows[-1]] -%}
with frontiers as (
    {{ frontiers_of(entity_id) }}
),

states as (
    select *, time_bucket({{ longest }}, feature_at) as bucket
    from frontiers
),

versions as (
    {{ payment_versions(
        "arrival_date >= (select coalesce(min(feature_at)::date, current_date) from states) - 3"
    ) }}
),

placed as (
    select *, time_bucket({{ longest }}, event_at) as bucket
    from versions
    union all
    select *, time_bucket({{ longest }}, event_at) + {{ longest }} as bucket
    from versions
),

seen as (
    select
        {{ entity_id }},
        states.feature_at,
        states.arrived_at,
        {%- for other in others %}
        {{ other }}_id,
        {%- endfor %}
        {%- for column in latest %}
        {{ column }} as latest_{{ column }},
        {%- endfor %}
        amount::decimal(18, 4) as amount,
        event_at,
        payment_id
    from states
    inner join placed using ({{ entity_id }}, bucket)
    where
        event_at > states.feature_at - {{ longest }}
        and event_at <= states.feature_at
        and placed.arrived_at <= states.arrived_at
        and (superseded_at is null or superseded_at > states.arrived_at)
),

counted as (
    select
        {{ entity_id }},
        arrived_at,
        {%- for window in windows %}
        {%- set inside = 'filter (where event_at > feature_at - ' ~ lengths[window] ~ ')' %}
        count(*) {{ inside }} as payment_count_{{ window }},
        sum(amount) {{ inside }} as amount_sum_{{ window }},
        {%- endfor %}
        {%- for other, window in others.items() %}
        count(distinct {{ other }}_id) filter (
            where event_at > feature_at - {{ lengths[window] }}
        ) as {{ other }}_count_{{ window }},
        {%- endfor %}
        {%- for column in latest %}
        arg_max_null(latest_{{ column }}, (event_at, payment_id)) as last_{{ column }},
        {%- endfor %}
    from seen
    group by {{ entity_id }}, arrived_at
)

select
    {{ entity_id }},
    feature_at,
    arrived_at,
    feature_date,
    {%- for window in windows %}
    coalesce(payment_count_{{ window }}, 0)::double as payment_count_{{ window }},
    coalesce(amount_sum_{{ window }}, 0)::double as amount_sum_{{ window }},
    {%- endfor %}
    {%- for other, window in others.items() %}
    coalesce({{ other }}_count_{{ window }}, 0)::double as {{ other }}_count_{{ window }},
    {%- endfor %}
    {%- for column in latest %}
    last_{{ column }}::double as last_{{ column }},
    {%- endfor %}
from states
left join counted using ({{ entity_id }}, arrived_at)
{% endmacro %}
