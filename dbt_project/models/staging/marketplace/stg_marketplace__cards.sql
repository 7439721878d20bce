with source as (
    select * from {{ source('raw', 'cards') }}
),

renamed as (
    select
        card_id,
        customer_id,

        network,
        funding,
        country,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
