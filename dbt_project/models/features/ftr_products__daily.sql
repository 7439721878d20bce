{#
  Rates are per expected look: an impression counts as much as its place is looked at. They are drawn towards the rate of
  all products on that midnight, as if each product had `prior` more looks of average success.
#}
{%- set prior = 10 -%}
{%- set mart = 'impressions' -%}
{%- set windows = [1, 7, 30] -%}
{%- set counts = ['impression_count', 'click_count', 'cart_count', 'purchase_count'] -%}
{%- set looked_back = 90 -%}
with shown as (
    {{ event_versions('impressions', 'arrival_date >= ' ~ window_start(mart) ~ ' - 32') }}
),

acted as (
    {{ event_versions('interactions', 'arrival_date >= ' ~ window_start(mart) ~ ' - ' ~ (looked_back + 2)) }}
),

held as (
    select
        product_id,
        null::varchar as customer_id,
        event_at,
        {{ held_days() }},
        1 as impression_count,
        0 as click_count,
        0 as cart_count,
        0 as purchase_count,
        {{ examination('position') }} as look_millionths,
        0 as list_click_count,
        0 as list_purchase_count
    from shown
    union all
    select
        product_id,
        customer_id,
        event_at,
        {{ held_days() }},
        0 as impression_count,
        (kind = 'click')::integer as click_count,
        (kind = 'cart')::integer as cart_count,
        (kind = 'purchase')::integer as purchase_count,
        0 as look_millionths,
        (kind = 'click' and list_id is not null)::integer as list_click_count,
        (kind = 'purchase' and list_id is not null)::integer as list_purchase_count
    from acted
),

sums as (
    {{ sliding_sums('product_id', mart=mart, measures={
        'impression_count': windows,
        'click_count': windows,
        'cart_count': windows,
        'purchase_count': windows,
        'look_millionths': [30],
        'list_click_count': [30],
        'list_purchase_count': [30],
    }) }}
),

-- What the marketplace's products have in common on a midnight.
rates as (
    select
        feature_date,
        1000000 * sum(list_click_count_30d) / nullif(sum(look_millionths_30d), 0) as click_rate,
        1000000 * sum(list_purchase_count_30d) / nullif(sum(look_millionths_30d), 0) as purchase_rate
    from sums
    group by feature_date
),

bought as (
    select
        product_id,
        event_at,
        greatest(first_day, {{ window_start(mart) }}) as entered,
        least(last_day + 1, event_day + {{ looked_back }}, {{ window_end(mart) }}) as abandoned
    from held
    where purchase_count = 1
),

bought_days as (
    select
        product_id,
        event_at,
        entered + unnest(range(abandoned - entered))::integer as feature_date
    from bought
),

last_bought as (
    select
        product_id,
        feature_date,
        max(event_at) as bought_at
    from bought_days
    group by product_id, feature_date
),

customer_counts as (
    {{ different_others('product_id', 'customer', mart) }}
)

select
    sums.product_id,
    (sums.feature_date + 1)::timestamptz as feature_at,
    (sums.feature_date + 1)::timestamptz as arrived_at,
    sums.feature_date,
    {%- for count in counts %}
    {%- for window in windows %}
    sums.{{ count }}_{{ window }}d,
    {%- endfor %}
    {%- endfor %}
    {%- for kind in ['click', 'purchase'] %}
    (sums.list_{{ kind }}_count_30d + {{ prior }} * rates.{{ kind }}_rate)
    / (sums.look_millionths_30d / 1000000 + {{ prior }}) as {{ kind }}_rate_30d,
    {%- endfor %}
    {{ days_between('last_bought.bought_at', '(sums.feature_date + 1)::timestamptz') }} as days_since_purchase,
    coalesce(customer_counts.customer_count_30d, 0)::double as customer_count_30d
from sums
inner join rates
    on sums.feature_date = rates.feature_date
left join last_bought
    on sums.product_id = last_bought.product_id and sums.feature_date = last_bought.feature_date
left join customer_counts
    on sums.product_id = customer_counts.product_id and sums.feature_date = customer_counts.feature_date
