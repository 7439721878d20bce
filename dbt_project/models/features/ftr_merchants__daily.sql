with windows as (
    {{ daily_windows('merchant', others=['customer']) }}
),

records as (
    {{ record_versions('merchant') }}
)

select
    windows.*,
    records.latitude,
    records.longitude,
    {{ days_between('records.first_event_at', 'windows.feature_at') }} as age_days
from windows
asof left join records
    on windows.merchant_id = records.merchant_id and windows.feature_at > records.arrived_at
