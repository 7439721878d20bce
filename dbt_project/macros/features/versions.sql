{#
  Payment versions known before the run's end, each with the moment from which it no longer holds (null: it still does).

  `condition` may cut off old arrival dates: a version that is read has all its successors read, since they came later.
#}
{% macro payment_versions(condition='true') %}
select
    *,
    lead(arrived_at) over (partition by payment_id order by arrived_at) as superseded_at
from {{ ref('payments') }}
where arrival_date < {{ window_end() }} and {{ condition }}
{% endmacro %}

{# Versions of an entity's record, with the time of the first event known of it. #}
{% macro record_versions(entity) %}
select
    *,
    min(event_at) over (partition by {{ entity }}_id order by arrived_at) as first_event_at
from {{ ref('stg_marketplace__' ~ entity ~ 's') }}
where arrival_date < {{ window_end() }}
{% endmacro %}

{# Days from one moment to another, with their fraction. #}
{% macro days_between(first, last) -%}
    epoch_us({{ last }} - {{ first }}) / 86400000000.0
{%- endmacro %}

{# A range of so many days up to a row, less the moment that lies exactly that long ago. #}
{% macro just_under_days(days) -%}
    interval '{{ days - 1 }} days 23:59:59.999999'
{%- endmacro %}
