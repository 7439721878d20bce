{# The partition is the day of `arrived_at`, and nothing happens more than a day after it was known. #}
{% test arrives_on_its_day(model) %}
select arrived_at, event_at, arrival_date
from {{ model }}
where arrived_at::date <> arrival_date or event_at > arrived_at + interval '1 day'
{% endtest %}
