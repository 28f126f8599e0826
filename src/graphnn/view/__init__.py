"""Floor 6: every way of seeing a graph. One file a view: pictures, algebra, tables, charts."""
