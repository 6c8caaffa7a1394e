"""Chapter 1: what fitting is, and the network that every book begins with."""
