with source as (
    select * from {{ source('raw', 'impressions') }}
),

renamed as (
    select
        impression_id,
        list_id,
        session_id,
        customer_id,
        product_id,

        surface,
        query,

        position,
        propensity,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
