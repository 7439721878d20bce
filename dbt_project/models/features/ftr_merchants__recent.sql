{{ recent_windows('merchant', windows=['5m', '1h']) }}
