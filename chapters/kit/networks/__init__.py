"""Networks: layers that several chapters use, and the table of layers."""
