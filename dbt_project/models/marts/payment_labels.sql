{{ config(partition_by='arrival_date') }}

with chargebacks as (
    select
        payment_id,
        true as is_fraud,
        'chargeback' as source,
        event_at,
        arrived_at,
        arrival_date
    from {{ ref('stg_marketplace__chargebacks') }}
    where reason = 'fraud' and {{ in_window('arrival_date') }}
),

verdicts as (
    select
        payment_id,
        is_fraud,
        'verdict' as source,
        event_at,
        arrived_at,
        arrival_date
    from {{ ref('stg_marketplace__verdicts') }}
    where {{ in_window('arrival_date') }}
),

events as (
    select * from chargebacks
    union all
    select * from verdicts
)

-- Two analysts may say something of one payment in the same microsecond: the graver word stands.
select
    payment_id,
    source,
    arrived_at,
    arrival_date,
    max(event_at) as event_at,
    bool_or(is_fraud) as is_fraud
from events
group by payment_id, source, arrived_at, arrival_date
