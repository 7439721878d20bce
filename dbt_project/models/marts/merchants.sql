select
    merchant_id,
    name,
    category,
    country,
    latitude,
    longitude,
    event_at,
    arrived_at
from {{ ref('stg_marketplace__merchants') }}
qualify row_number() over (partition by merchant_id order by arrived_at desc) = 1
