"""Quality of the models on simulated marketplaces, through the platform's real path."""
