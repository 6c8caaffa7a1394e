"""The book's listings, restated with `mx.sym`: one module a section.

Every module has `symbol(...)`, the graph, and `settings(updates_per_epoch)`, the arguments with which the book calls
`Module.fit`. `python -m chapters parity` proves that they compute what `chapters` computes; `python -m chapters run
SECTION --form symbolic` trains them. `tests/book_code` holds each to a table of its operators that was typed from the book.

Layers have the book's names. What is called otherwise is the label: `label` in all of them, where the book has `reg_label`
and `softmax_label`. Line numbers in docstrings count the lines of the book's text, to find a listing by.
"""
