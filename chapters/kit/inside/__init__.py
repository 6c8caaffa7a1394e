"""Looking inside: why a network does not learn, what it looks at, where its time goes."""
