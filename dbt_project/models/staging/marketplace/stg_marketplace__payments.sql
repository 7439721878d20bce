with source as (
    select * from {{ source('raw', 'payments') }}
),

renamed as (
    select
        payment_id,
        order_id,
        customer_id,
        card_id,
        merchant_id,
        device_id,

        currency,
        channel,
        country,

        amount,
        latitude,
        longitude,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
