"""Chapter 3: multilayer perceptrons on digits, clothes and a spiral, and how to train them."""
