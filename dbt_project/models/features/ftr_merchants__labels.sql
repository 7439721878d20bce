{#
  What became known of a merchant's payments, one row per merchant and moment at which one of them resolved.

  A payment resolves when a label says fraud, or genuine when the label delay has passed without one. It resolves again
  when what stands of it changes: a fraud label that comes late, a fraud that is taken back. Its merchant, payer, amount
  and time are those known when it first resolved.

  A run is what followed the merchant's latest genuine resolution; of one moment, genuine ones come first. What was
  resolved longer ago than `history` days is forgotten, so a day's batch reads no more than that.
#}
{%- set delay_days = var('label_delay_days') | int -%}
{%- set delay = "interval '" ~ delay_days ~ " days'" -%}
{%- set history = 60 -%}
{%- set stands_out = 2.5 -%}
{%- set since = window_start() ~ ' - ' ~ history -%}
with labels as (
    select *
    from {{ ref('payment_labels') }}
    where arrival_date < {{ window_end() }}
),

-- Whole payments: what a payment counts as depends on its first version too.
concerned as (
    select payment_id
    from labels
    where arrival_date >= {{ since }}
    union
    select payment_id
    from {{ ref('payments') }}
    where arrival_date >= {{ since }} - {{ delay_days + 2 }}
),

versions as (
    {{ payment_versions('payment_id in (select payment_id from concerned)') }}
),

-- The delay passes under the version that holds at that moment.
due as (
    select
        payment_id,
        min(greatest(event_at + {{ delay }}, arrived_at)) as resolved_at
    from versions
    where superseded_at is null or superseded_at > greatest(event_at + {{ delay }}, arrived_at)
    group by payment_id
),

-- A label that came before its payment counts from the payment on.
said as (
    select
        labels.payment_id,
        greatest(labels.arrived_at, payments.first_arrived_at) as resolved_at,
        (labels.source = 'chargeback', labels.arrived_at) as precedence,
        labels.is_fraud
    from labels
    inner join (
        select
            payment_id,
            min(arrived_at) as first_arrived_at
        from versions
        group by payment_id
    ) as payments on labels.payment_id = payments.payment_id
    union all
    select
        payment_id,
        resolved_at,
        null as precedence,
        null as is_fraud
    from due
    where payment_id in (select labels.payment_id from labels)
),

standing as (
    select distinct
        payment_id,
        resolved_at,
        case
            when coalesce(arg_max(is_fraud, precedence) over so_far, false) then true
            -- Once resolved, a payment is one or the other.
            when bool_or(coalesce(is_fraud, true)) over so_far then false
        end as is_fraud
    from said
    window so_far as (partition by payment_id order by resolved_at)
),

changes as (
    select *
    from standing
    where is_fraud is not null
    qualify is_fraud is distinct from lag(is_fraud) over (partition by payment_id order by resolved_at)
),

resolutions as (
    select
        *,
        min(resolved_at) over (partition by payment_id) as first_resolved_at,
        lead(resolved_at) over (partition by payment_id order by resolved_at) as until_at
    from changes
    union all
    select
        payment_id,
        resolved_at,
        false as is_fraud,
        resolved_at as first_resolved_at,
        null as until_at
    from due
    where payment_id not in (select labels.payment_id from labels)
),

resolved as (
    select
        versions.merchant_id,
        versions.customer_id,
        versions.event_at,
        versions.amount,
        resolutions.resolved_at,
        resolutions.until_at,
        resolutions.is_fraud
    from resolutions
    inner join versions on resolutions.payment_id = versions.payment_id
    where
        versions.merchant_id is not null
        and versions.arrived_at <= resolutions.first_resolved_at
        and (versions.superseded_at is null or versions.superseded_at > resolutions.first_resolved_at)
        and resolutions.resolved_at >= ({{ since }})::timestamptz
        and resolutions.resolved_at < {{ window_end() }}::timestamptz
),

-- An amount stands out from what its payer usually paid, as of the midnight before.
compared as (
    select
        resolved.merchant_id,
        resolved.resolved_at,
        resolved.until_at,
        resolved.event_at,
        resolved.is_fraud,
        resolved.is_fraud
        and coalesce(resolved.amount <= {{ stands_out }} * usual.amount_mean_30d, true) as is_plain
    from resolved
    left join {{ ref('ftr_customers__daily') }} as usual
        on
            resolved.is_fraud
            and resolved.customer_id = usual.customer_id
            and time_bucket(interval '1 day', resolved.event_at - interval '1 microsecond') = usual.feature_at
),

-- Each payment enters a window when it resolves. One that resolves again leaves early: what the window still holds of
-- it is taken out at that moment and put back when the window ends.
early as (
    select
        *,
        7 as days
    from compared
    where until_at < resolved_at + interval '7 days'
    union all
    select
        *,
        28 as days
    from compared
    where until_at < resolved_at + interval '28 days'
),

steps as (
    select
        *,
        1 as enters,
        0 as leaves_7d,
        0 as leaves_28d
    from compared
    union all
    select
        * exclude (days) replace (until_at as resolved_at),
        0 as enters,
        (days = 7)::integer as leaves_7d,
        (days = 28)::integer as leaves_28d
    from early
    union all
    select
        * exclude (days) replace (resolved_at + to_days(days) as resolved_at),
        0 as enters,
        -(days = 7)::integer as leaves_7d,
        -(days = 28)::integer as leaves_28d
    from early
),

counted as (
    select
        merchant_id,
        resolved_at,
        event_at,
        is_fraud,
        is_plain,
        enters,
        sum(is_fraud::integer * enters) over last_7d
        - sum(is_fraud::integer * leaves_7d) over so_far as resolved_fraud_count_7d,
        sum(is_fraud::integer * enters) over last_28d
        - sum(is_fraud::integer * leaves_28d) over so_far as resolved_fraud_count_28d,
        sum(is_plain::integer * enters) over last_28d
        - sum(is_plain::integer * leaves_28d) over so_far as plain_fraud_count_28d,
        sum(enters) over last_28d - sum(leaves_28d) over so_far as resolved_count_28d,
        count(*) filter (where enters = 1 and not is_fraud) over so_far as run
    from steps
    window
        so_far as (partition by merchant_id order by resolved_at),
        last_7d as (
            partition by merchant_id order by resolved_at
            range between {{ just_under_days(7) }} preceding and current row
        ),
        last_28d as (
            partition by merchant_id order by resolved_at
            range between {{ just_under_days(28) }} preceding and current row
        )
),

-- All rows of one moment say the same.
states as (
    select distinct
        merchant_id,
        resolved_at,
        resolved_fraud_count_7d,
        resolved_fraud_count_28d,
        plain_fraud_count_28d,
        resolved_count_28d,
        count(*) filter (where is_fraud) over kept as fraud_streak,
        count(*) filter (where is_plain) over kept as plain_fraud_streak,
        min(event_at) filter (where is_fraud) over kept as streak_began_at,
        max(event_at) filter (where not is_fraud) over kept as genuine_at
    from counted
    where enters = 1
    window
        kept as (
            partition by merchant_id, run order by resolved_at
            range between {{ just_under_days(history) }} preceding and current row
        )
)

select
    merchant_id,
    resolved_at as feature_at,
    resolved_at as arrived_at,
    resolved_at::date as feature_date,
    fraud_streak::double as fraud_streak,
    {{ days_between('streak_began_at', 'resolved_at') }} as fraud_streak_days,
    plain_fraud_streak::double as plain_fraud_streak,
    case when fraud_streak > 0 then {{ days_between('genuine_at', 'resolved_at') }} end as days_since_genuine,
    resolved_fraud_count_7d::double as resolved_fraud_count_7d,
    resolved_fraud_count_28d::double as resolved_fraud_count_28d,
    plain_fraud_count_28d::double as plain_fraud_count_28d,
    resolved_count_28d::double as resolved_count_28d,
    resolved_fraud_count_28d / resolved_count_28d::double as resolved_fraud_share_28d
from states
where resolved_at >= {{ window_start() }}::timestamptz
