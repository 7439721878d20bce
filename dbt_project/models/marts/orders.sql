{{ config(partition_by='arrival_date') }}

select
    order_id,
    customer_id,
    merchant_id,
    product_id,
    quantity,
    amount,
    currency,
    event_at,
    arrived_at,
    arrival_date
from {{ ref('stg_marketplace__orders') }}
where {{ in_window('arrival_date') }}
