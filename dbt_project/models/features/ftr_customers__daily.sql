with windows as (
    {{ daily_windows('customer', others=['merchant', 'device'], night=true) }}
),

records as (
    {{ record_versions('customer') }}
)

select
    windows.*,
    records.latitude as home_latitude,
    records.longitude as home_longitude,
    {{ days_between('records.first_event_at', 'windows.feature_at') }} as age_days
from windows
asof left join records
    on windows.customer_id = records.customer_id and windows.feature_at > records.arrived_at
