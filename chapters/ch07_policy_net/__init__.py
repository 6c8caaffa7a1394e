"""Chapter 7: a policy network is trained on games, and plays."""
POLICY = 'zoo:7.2-small'  # that plays where no other is named
