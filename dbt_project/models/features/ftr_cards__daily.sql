{{ daily_windows('card') }}
