with source as (
    select * from {{ source('raw', 'orders') }}
),

renamed as (
    select
        order_id,
        customer_id,
        merchant_id,
        product_id,

        currency,

        quantity,
        amount,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
