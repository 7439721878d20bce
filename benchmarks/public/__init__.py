"""Published tables: our figures beside those that others reached under the same protocol."""
