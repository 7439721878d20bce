with source as (
    select * from {{ source('raw', 'interactions') }}
),

renamed as (
    select
        interaction_id,
        list_id,
        session_id,
        customer_id,
        product_id,

        kind,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
