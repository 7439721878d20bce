{{ config(partition_by='arrival_date') }}

select
    interaction_id,
    list_id,
    session_id,
    customer_id,
    product_id,
    kind,
    event_at,
    arrived_at,
    arrival_date
from {{ ref('stg_marketplace__interactions') }}
where {{ in_window('arrival_date') }}
