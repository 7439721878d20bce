{{ newest_interactions('customer', length=24) }}
