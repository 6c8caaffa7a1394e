"""Reports: drawing, tables, pages."""
