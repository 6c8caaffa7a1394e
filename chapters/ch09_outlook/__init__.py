"""Chapter 9: what may come after the networks of this book (9.3.1, 9.3.6, 9.4)."""
