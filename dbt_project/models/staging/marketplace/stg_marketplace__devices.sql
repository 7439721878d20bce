with source as (
    select * from {{ source('raw', 'devices') }}
),

renamed as (
    select
        device_id,
        customer_id,

        kind,
        operating_system,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
