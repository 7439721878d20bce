select
    product_id,
    merchant_id,
    category,
    title,
    price,
    currency,
    event_at,
    arrived_at
from {{ ref('stg_marketplace__products') }}
qualify row_number() over (partition by product_id order by arrived_at desc) = 1
