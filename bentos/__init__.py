"""Services: one bento per system."""
