with source as (
    select * from {{ source('raw', 'customers') }}
),

renamed as (
    select
        customer_id,

        email,
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
