with source as (
    select * from {{ source('raw', 'searches') }}
),

renamed as (
    select
        search_id,
        session_id,
        customer_id,

        query,

        results,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
