{{ recent_windows('card', windows=['5m', '1h', '24h'], others={'merchant': '1h'}, latest=['amount']) }}
