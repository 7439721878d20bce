select
    card_id,
    customer_id,
    network,
    funding,
    country,
    event_at,
    arrived_at
from {{ ref('stg_marketplace__cards') }}
qualify row_number() over (partition by card_id order by arrived_at desc) = 1
