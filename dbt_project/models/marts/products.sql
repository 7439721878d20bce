select
    product_id,
    merchant_id,
    category,
    title,
    description,
    price,
    currency,
    stock,
    event_at,
    arrived_at,
    min(event_at) over (partition by product_id order by arrived_at) as listed_at
from {{ ref('stg_marketplace__products') }}
