with windows as (
    {{ daily_windows('device', others=['customer', 'card']) }}
),

records as (
    {{ record_versions('device') }}
)

select
    windows.*,
    {{ days_between('records.first_event_at', 'windows.feature_at') }} as age_days
from windows
asof left join records
    on windows.device_id = records.device_id and windows.feature_at > records.arrived_at
