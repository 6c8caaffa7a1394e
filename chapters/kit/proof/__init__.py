"""Proof: the book's symbolic form, and that it computes what ours computes."""
