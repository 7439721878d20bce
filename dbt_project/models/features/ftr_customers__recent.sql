{{ recent_windows(
    'customer',
    windows=['5m', '1h', '24h'],
    others={'merchant': '24h'},
    latest=['amount', 'latitude', 'longitude'],
) }}
