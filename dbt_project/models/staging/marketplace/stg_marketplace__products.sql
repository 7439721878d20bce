with source as (
    select * from {{ source('raw', 'products') }}
),

renamed as (
    select
        product_id,
        merchant_id,

        category,
        title,
        description,
        currency,

        price,
        stock,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
