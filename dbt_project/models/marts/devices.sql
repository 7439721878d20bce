select
    device_id,
    customer_id,
    kind,
    operating_system,
    event_at,
    arrived_at
from {{ ref('stg_marketplace__devices') }}
qualify row_number() over (partition by device_id order by arrived_at desc) = 1
