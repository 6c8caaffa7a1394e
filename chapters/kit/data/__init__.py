"""Data: what a network must know of them, and the ways in."""
