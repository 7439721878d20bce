{{ newest_payments('card', length=16) }}
