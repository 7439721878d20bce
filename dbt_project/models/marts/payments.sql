{{ config(partition_by='arrival_date') }}

select
    payment_id,
    order_id,
    customer_id,
    card_id,
    merchant_id,
    device_id,
    amount,
    currency,
    channel,
    country,
    latitude,
    longitude,
    event_at,
    arrived_at,
    arrival_date
from {{ ref('stg_marketplace__payments') }}
where {{ in_window('arrival_date') }}
