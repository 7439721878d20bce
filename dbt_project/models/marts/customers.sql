select
    customer_id,
    country,
    latitude,
    longitude,
    event_at,
    arrived_at
from {{ ref('stg_marketplace__customers') }}
qualify row_number() over (partition by customer_id order by arrived_at desc) = 1
