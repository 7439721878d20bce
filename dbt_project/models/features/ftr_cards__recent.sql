{{ recent_windows('card', windows=['5m', '1h', '1d'], others={'merchant': '1h'}, latest=['amount']) }}
