"""Chapter 6: the networks of AlphaGo, its search, and how it learnt."""
