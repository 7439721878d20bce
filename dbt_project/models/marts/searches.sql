{{ config(partition_by='arrival_date') }}

select
    search_id,
    session_id,
    customer_id,
    query,
    results,
    event_at,
    arrived_at,
    arrival_date
from {{ ref('stg_marketplace__searches') }}
where {{ in_window('arrival_date') }}
