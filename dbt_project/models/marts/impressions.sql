{{ config(partition_by='arrival_date') }}

select
    impression_id,
    list_id,
    surface,
    session_id,
    customer_id,
    product_id,
    position,
    propensity,
    query,
    event_at,
    arrived_at,
    arrival_date
from {{ ref('stg_marketplace__impressions') }}
where {{ in_window('arrival_date') }}
