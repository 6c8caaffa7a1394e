"""One notebook a chapter, in the book's order. They call `chapters/`; they define no network and no loop."""
