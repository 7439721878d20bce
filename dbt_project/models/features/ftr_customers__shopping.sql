{# Prices and categories are those of the product's newest version that had arrived when the interaction did. #}
{%- set mart = 'interactions' -%}
{%- set windows = [7, 30] -%}
{%- set counts = ['click_count', 'cart_count', 'purchase_count'] -%}
with acted as (
    {{ event_versions(mart, 'arrival_date >= ' ~ window_start(mart) ~ ' - 32') }}
),

catalogue as (
    select
        product_id,
        category,
        price,
        arrived_at as known_at
    from {{ ref('products') }}
),

held as (
    select
        acted.customer_id,
        catalogue.category as category_id,
        {{ held_days() }},
        (acted.kind = 'click')::integer as click_count,
        (acted.kind = 'cart')::integer as cart_count,
        (acted.kind = 'purchase')::integer as purchase_count,
        (acted.kind = 'click' and catalogue.price is not null)::integer as priced_count,
        if(acted.kind = 'click', round(coalesce(catalogue.price, 0) * 10000), 0) as price_myriadths
    from acted
    asof left join catalogue
        on acted.product_id = catalogue.product_id and acted.arrived_at >= catalogue.known_at
),

sums as (
    {{ sliding_sums('customer_id', mart=mart, measures={
        'click_count': windows,
        'cart_count': windows,
        'purchase_count': windows,
        'priced_count': [30],
        'price_myriadths': [30],
    }) }}
),

category_counts as (
    {{ different_others('customer_id', 'category', mart) }}
)

select
    sums.customer_id,
    (sums.feature_date + 1)::timestamptz as feature_at,
    (sums.feature_date + 1)::timestamptz as arrived_at,
    sums.feature_date,
    {%- for count in counts %}
    {%- for window in windows %}
    sums.{{ count }}_{{ window }}d,
    {%- endfor %}
    {%- endfor %}
    sums.price_myriadths_30d / 10000 / nullif(sums.priced_count_30d, 0) as clicked_price_mean_30d,
    coalesce(category_counts.category_count_30d, 0)::double as category_count_30d
from sums
left join category_counts
    on sums.customer_id = category_counts.customer_id and sums.feature_date = category_counts.feature_date
