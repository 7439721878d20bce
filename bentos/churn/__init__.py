"""The churn bento."""
