"""Sections 5.7 and 5.8: finding objects and their outlines in pictures, and giving a picture another's style."""
