with source as (
    select * from {{ source('raw', 'merchants') }}
),

renamed as (
    select
        merchant_id,

        name,
        category,
        country,

        latitude,
        longitude,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
