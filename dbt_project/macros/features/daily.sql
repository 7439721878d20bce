{#
  One row per entity and day: what was known of the entity at the midnight that closes the day.

  A payment version is held from its arrival (or its event, when a clock runs ahead) to the day before the next version
  arrived, and counts in a window of w days while its age in days is below w. So it is written out once per day on which
  any window needs it, and one aggregation yields every window of every day of the run. Amounts are summed as decimals,
  so that sums do not depend on the order of the rows.

  An entity has a row while a payment or a fraud label of the last 31 days names it, in whatever version: the last row
  says zero.

  Args:
    entity: customer, card, merchant or device.
    others: other entities of which different ones are counted over 30 days.
    night: whether the share of payments at night is wanted.
#}
{% macro daily_windows(entity, others=[], night=false) %}
{%- set entity_id = entity ~ '_id' -%}
{%- set delay = var('label_delay_days') | int -%}
{%- set oldest = 30 + delay -%}
with versions as (
    {{ payment_versions('arrival_date >= ' ~ window_start() ~ ' - ' ~ (oldest + 2)) }}
),

held as (
    select
        {{ entity_id }},
        {%- for other in others %}
        {{ other }}_id,
        {%- endfor %}
        {{ held_days() }},
        amount::decimal(18, 4) as amount,
        extract(hour from event_at) < 6 as is_night
    from versions
    where {{ entity_id }} is not null
),

spans as (
    select
        {{ entity_id }},
        event_day,
        first_day,
        last_day,
        count(*) as payments,
        count(*) filter (where is_night) as nights,
        sum(amount)::decimal(18, 4) as amount,
        sum(amount * amount)::decimal(38, 8) as squares,
        max(amount) as largest
    from held
    group by {{ entity_id }}, event_day, first_day, last_day
),

days as (
    select
        *,
        unnest(range(
            greatest(first_day, {{ window_start() }}) - event_day,
            least({{ oldest }}, {{ window_end() }} - event_day)
        )) as age
    from spans
),

paid as (
    select
        {{ entity_id }},
        event_day + age::integer as feature_date,
        min(age) as age,
        {%- set is_held = '(last_day is null or event_day + age::integer <= last_day)' %}
        {%- for window in [1, 7, 30] %}
        coalesce(sum(payments) filter (where {{ is_held }} and age < {{ window }}), 0) as payment_count_{{ window }}d,
        coalesce(sum(amount) filter (where {{ is_held }} and age < {{ window }}), 0) as amount_sum_{{ window }}d,
        coalesce(
            sum(payments) filter (where {{ is_held }} and age >= {{ delay }} and age < {{ window + delay }}), 0
        ) as delayed_count_{{ window }}d,
        {%- endfor %}
        coalesce(sum(squares) filter (where {{ is_held }} and age < 30), 0) as square_sum_30d,
        coalesce(sum(nights) filter (where {{ is_held }} and age < 30), 0) as night_count_30d,
        max(largest) filter (where {{ is_held }} and age < 30) as amount_max_30d
    from days
    group by {{ entity_id }}, feature_date
),

frauds as (
    {{ known_frauds(entity_id) }}
),
{% for other in others %}
{{ other }}_counts as (
    {{ different_others(entity_id, other) }}
),
{% endfor %}
rows_wanted as (
    select {{ entity_id }}, feature_date from paid where age <= 30
    union
    select {{ entity_id }}, feature_date from frauds
)

select
    {{ entity_id }},
    (feature_date + 1)::timestamptz as feature_at,
    (feature_date + 1)::timestamptz as arrived_at,
    feature_date,
    {%- for window in [1, 7, 30] %}
    coalesce(payment_count_{{ window }}d, 0)::double as payment_count_{{ window }}d,
    coalesce(amount_sum_{{ window }}d, 0)::double as amount_sum_{{ window }}d,
    amount_sum_{{ window }}d::double / nullif(payment_count_{{ window }}d, 0) as amount_mean_{{ window }}d,
    {%- endfor %}
    sqrt(
        (payment_count_30d * square_sum_30d - amount_sum_30d * amount_sum_30d)::double
        / nullif(payment_count_30d * (payment_count_30d - 1), 0)
    ) as amount_std_30d,
    amount_max_30d::double as amount_max_30d,
    amount_mean_7d / nullif(amount_mean_30d, 0) as amount_mean_ratio_7d_30d,
    payment_count_1d / nullif(payment_count_30d / 30, 0) as payment_count_ratio_1d_30d,
    {%- for window in [1, 7, 30] %}
    coalesce(fraud_count_{{ window }}d, 0)::double as fraud_count_{{ window }}d,
    {%- endfor %}
    {%- for window in [1, 7, 30] %}
    coalesce(fraud_count_{{ window }}d / nullif(delayed_count_{{ window }}d, 0), 0)::double as fraud_share_{{ window }}d,
    {%- endfor %}
    {%- for other in others %}
    coalesce({{ other }}_count_30d, 0)::double as {{ other }}_count_30d,
    {%- endfor %}
    {%- if night %}
    night_count_30d / nullif(payment_count_30d, 0)::double as night_share_30d,
    {%- endif %}
from rows_wanted
left join paid using ({{ entity_id }}, feature_date)
left join frauds using ({{ entity_id }}, feature_date)
{%- for other in others %}
left join {{ other }}_counts using ({{ entity_id }}, feature_date)
{%- endfor %}
{% endmacro %}

{#
  Payments known as fraud, by entity and day. A payment counts once, from the day its first fraud label arrived, and only
  while the label that then stands (a chargeback before a verdict, the newest first) says fraud.
#}
{% macro known_frauds(entity_id) %}
    with labels as (
        select * from {{ ref('payment_labels') }} where arrival_date < {{ window_end() }}
    ),

    first_known as (
        select payment_id, min(arrived_at)::date as fraud_day
        from labels
        where is_fraud
        group by payment_id
        having fraud_day >= {{ window_start() }} - 30
    ),

    fraud_days as (
        select
            payment_id,
            unnest(range(greatest({{ window_start() }} - fraud_day, 0), least(31, {{ window_end() }} - fraud_day))) as age,
            fraud_day + age::integer as feature_date
        from first_known
    ),

    standing as (
        select
            payment_id,
            feature_date,
            fraud_days.age,
            arg_max(is_fraud, (source = 'chargeback', arrived_at)) as is_fraud
        from fraud_days
        inner join labels using (payment_id)
        where labels.arrived_at::date <= feature_date
        group by payment_id, feature_date, fraud_days.age
    ),

    payments as (
        select * from (
            {{ payment_versions('payment_id in (select payment_id from first_known)') }}
        ) where {{ entity_id }} is not null
    ),

    named as (
        select
            {{ entity_id }},
            feature_date,
            age,
            is_fraud and (superseded_at is null or superseded_at::date > feature_date) as is_counted
        from standing
        inner join payments using (payment_id)
        where payments.arrived_at::date <= feature_date
    )

    select
        {{ entity_id }},
        feature_date,
        {%- for window in [1, 7, 30] %}
        count(*) filter (where is_counted and age < {{ window }}) as fraud_count_{{ window }}d{{ ',' if not loop.last }}
        {%- endfor %}
    from named
    group by {{ entity_id }}, feature_date
{% endmacro %}

{#
  Different others that an entity met in 30 days. The days on which one other counts are a union of spans; each span
  gives up what earlier ones cover, so that every day is counted once.
#}
{% macro different_others(entity_id, other, mart='payments') %}
    with met as (
        select distinct
            {{ entity_id }},
            {{ other }}_id,
            first_day,
            least(last_day, event_day + 29) as last_day
        from held
        where {{ other }}_id is not null and first_day <= least(last_day, event_day + 29)
    ),

    disjoint as (
        select
            {{ entity_id }},
            greatest(
                first_day,
                max(last_day) over (
                    partition by {{ entity_id }}, {{ other }}_id
                    order by first_day, last_day
                    rows between unbounded preceding and 1 preceding
                ) + 1,
                {{ window_start(mart) }}
            ) as first_day,
            last_day
        from met
    ),

    counted as (
        select
            {{ entity_id }},
            first_day + unnest(range(least(last_day + 1, {{ window_end(mart) }}) - first_day))::integer as feature_date
        from disjoint
    )

    select {{ entity_id }}, feature_date, count(*) as {{ other }}_count_30d
    from counted
    group by {{ entity_id }}, feature_date
{% endmacro %}
