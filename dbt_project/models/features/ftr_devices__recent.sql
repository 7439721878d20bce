{{ recent_windows('device', windows=['5m', '1h', '1d'], others={'card': '1d'}) }}
