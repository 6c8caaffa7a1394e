"""Chapter 2: a neuron, a network, and how they learn."""
