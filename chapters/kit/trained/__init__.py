"""A trained network: its run folder, and what can be done with it."""
