with source as (
    select * from {{ source('raw', 'chargebacks') }}
),

renamed as (
    select
        chargeback_id,
        payment_id,

        reason,

        amount,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
