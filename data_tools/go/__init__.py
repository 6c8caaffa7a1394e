"""The game of Go: rules, game records, feature planes, symmetries and the book's packed positions."""
