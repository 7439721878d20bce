{#
  Versions of a mart's events known before the run's end, each with the moment from which it no longer holds (null: it
  still does).

  `condition` may cut off old arrival dates: a version that is read has all its successors read, since they came later.
#}
{% macro event_versions(mart, condition='true') %}
select
    *,
    lead(arrived_at) over (partition by {{ mart[:-1] }}_id order by arrived_at) as superseded_at
from {{ ref(mart) }}
where arrival_date < {{ window_end(mart) }} and {{ condition }}
{% endmacro %}

{% macro payment_versions(condition='true') %}
{{ event_versions('payments', condition) }}
{% endmacro %}

{# On which midnights a version counts: it is held from its arrival, or its event, when a clock runs ahead. #}
{% macro held_days() -%}
    event_at::date as event_day,
    greatest(arrived_at::date, event_at::date) as first_day,
    superseded_at::date - 1 as last_day
{%- endmacro %}

{# Versions of an entity's record, with the time of the first event known of it. #}
{% macro record_versions(entity, mart='payments') %}
select
    *,
    min(event_at) over (partition by {{ entity }}_id order by arrived_at) as first_event_at
from {{ ref('stg_marketplace__' ~ entity ~ 's') }}
where arrival_date < {{ window_end(mart) }}
{% endmacro %}

{# Days from one moment to another, with their fraction. #}
{% macro days_between(first, last) -%}
    epoch_us({{ last }} - {{ first }}) / 86400000000.0
{%- endmacro %}

{# A range of so many days up to a row, less the moment that lies exactly that long ago. #}
{% macro just_under_days(days) -%}
    interval '{{ days - 1 }} days 23:59:59.999999'
{%- endmacro %}
