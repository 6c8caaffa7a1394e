"""Chapter 7: a policy network is trained on games, and plays."""
