with source as (
    select * from {{ source('raw', 'verdicts') }}
),

renamed as (
    select
        verdict_id,
        payment_id,
        analyst_id,

        is_fraud,

        event_at,
        arrived_at,
        arrival_date,
        source_file
    from source
)

select * from renamed
