"""The book's listings, restated with `mx.sym`: one module a section.

Every module has `symbol(...)`, the graph, and `settings(updates_per_epoch)`, the arguments with which the book calls
`Module.fit`. `python -m chapters parity` proves that they compute what `chapters` computes; `python -m chapters run
SECTION --form symbolic` trains them.
"""
