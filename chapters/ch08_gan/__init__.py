"""Chapter 8: networks that make images."""
