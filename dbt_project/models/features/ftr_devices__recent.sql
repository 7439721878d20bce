{{ recent_windows('device', windows=['5m', '1h', '24h'], others={'card': '24h'}) }}
