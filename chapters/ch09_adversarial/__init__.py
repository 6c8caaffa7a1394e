"""Chapter 9.2: adversarial examples, and what they say of deep networks."""
