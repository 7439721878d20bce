{{ recent_windows(
    'customer',
    windows=['5m', '1h', '1d'],
    others={'merchant': '1d'},
    latest=['amount', 'latitude', 'longitude'],
) }}
