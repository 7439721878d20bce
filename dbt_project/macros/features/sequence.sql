{#
  One row per entity and moment at which a version of one of its events arrived: the newest events up to the frontier,
  over the versions that held at that moment. The newest stands in place 1; a place without an event is null.

  An event counts when it happened at most `history` days before the day on which the row arrived, so a day's batch
  reads no more than that.

  A version is steady when no other superseded it and all that stand behind it in the entity's order came after it: it
  holds at every moment that sees a version behind it. So the newest `length` payments of a moment are no further back
  than the `length` newest steady versions. Versions meet moments by an equality of entity and bucket of `length` steady
  versions (each version stands in its own and in the next one), so a busy entity costs its events times those of one
  or two sequences.

  Args:
    entity: customer, card, merchant, device or product.
    mart: payments or interactions.
    moments: a query for the rows wanted: entity, `feature_at`, `arrived_at` and `feature_date`.
    fields: what is told of each event: column to expression.
    length: how many events.
    history: days that are looked back.
#}
{% macro newest_events(entity, mart, moments, fields, length, history=60) %}
{%- set entity_id = entity ~ '_id' -%}
{%- set event_id = mart[:-1] ~ '_id' -%}
with moments as (
    {{ moments }}
),

-- An event is at most a day ahead of its arrival.
versions as (
    {{ event_versions(mart, 'arrival_date >= ' ~ window_start(mart) ~ '::date - ' ~ (history + 1)) }}
),

ordered as (
    select
        *,
        row_number() over events as position,
        superseded_at is null and coalesce(arrived_at <= min(arrived_at) over behind, true) as is_steady
    from versions
    where {{ entity_id }} is not null and {{ entity_id }} in (select {{ entity_id }} from moments)
    window
        events as (partition by {{ entity_id }} order by event_at, {{ event_id }}, arrived_at),
        behind as (
            partition by {{ entity_id }} order by event_at, {{ event_id }}, arrived_at
            rows between 1 following and unbounded following
        )
),

ranked as (
    select
        {{ entity_id }},
        event_at,
        arrived_at,
        superseded_at,
        position,
        count(*) filter (where is_steady) over (partition by {{ entity_id }} order by position) as steady_rank,
        {
            {%- for field, expression in fields.items() %}
            '{{ field }}': {{ expression }}{{ ',' if not loop.last }}
            {%- endfor %}
        } as event
    from ordered
),

placed as (
    select
        *,
        unnest([steady_rank // {{ length }}, steady_rank // {{ length }} + 1]) as bucket
    from ranked
),

-- Where in the entity's order the frontier lies. It may lie before everything that is looked at.
states as (
    select
        moments.{{ entity_id }},
        moments.feature_at,
        moments.arrived_at,
        moments.feature_date,
        max(steady_rank) as steady_rank,
        max(steady_rank) // {{ length }} as bucket
    from moments
    left join ranked
        on
            moments.{{ entity_id }} = ranked.{{ entity_id }}
            and moments.feature_at = ranked.event_at
            and moments.arrived_at >= ranked.arrived_at
    group by all
),

sequences as (
    select
        {{ entity_id }},
        states.arrived_at,
        arg_max(event, position, {{ length }}) as newest
    from states
    inner join placed using ({{ entity_id }}, bucket)
    where
        placed.steady_rank > states.steady_rank - {{ length }}
        and placed.event_at <= states.feature_at
        and placed.event_at >= (states.feature_date - {{ history }})::timestamptz
        and placed.arrived_at <= states.arrived_at
        and (superseded_at is null or superseded_at > states.arrived_at)
    group by {{ entity_id }}, states.arrived_at
)

select
    {{ entity_id }},
    feature_at,
    arrived_at,
    feature_date,
    {%- for place in range(1, length + 1) %}
    {%- for field in fields %}
    newest[{{ place }}].{{ field }} as {{ field }}_{{ place }},
    {%- endfor %}
    {%- endfor %}
from states
left join sequences using ({{ entity_id }}, arrived_at)
{% endmacro %}

{# The newest payments at the moments of the entity's `recent` set. #}
{% macro newest_payments(entity, length) %}
{%- set moments %}
    select
        {{ entity }}_id,
        feature_at,
        arrived_at,
        feature_date
    from {{ ref('ftr_' ~ entity ~ 's__recent') }}
    where feature_date >= {{ window_start() }} and feature_date < {{ window_end() }}
{%- endset -%}
{{ newest_events(entity, 'payments', moments, length=length, fields={
    'amount': 'amount::double',
    'event_at': epoch_seconds('event_at'),
    'merchant': merchant_bucket('merchant_id'),
    'channel': "case channel when 'web' then 0.0 when 'app' then 1.0 when 'in_store' then 2.0 end::double",
    'latitude': 'latitude::double',
    'longitude': 'longitude::double',
}) }}
{% endmacro %}

{# The newest clicks, carts and purchases, at every moment at which one arrived. #}
{% macro newest_interactions(entity, length) %}
{{ newest_events(entity, 'interactions', frontiers_of(entity ~ '_id', 'interactions'), length=length, fields={
    'product': item_key('product_id'),
    'kind': "case kind when 'click' then 0.0 when 'cart' then 1.0 when 'purchase' then 2.0 end::double",
    'event_at': epoch_seconds('event_at'),
}) }}
{% endmacro %}

{% macro epoch_seconds(moment) -%}
    epoch_us({{ moment }}) / 1000000.0::double
{%- endmacro %}

{# A number from 0 to 1023 for a merchant: `agora.entities.sequences.merchant_bucket` in SQL. #}
{% macro merchant_bucket(merchant_id) -%}
    (('0x' || left(md5({{ merchant_id }}), 3))::integer % 1024)::double
{%- endmacro %}

{# A number of 52 bits for an item, exact as a double: `agora.items.item_key` in SQL. #}
{% macro item_key(item_id) -%}
    ('0x' || left(md5({{ item_id }}), 13))::bigint::double
{%- endmacro %}
