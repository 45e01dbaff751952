"""Following the marketplace: the change feed, the sweep behind it, closing and opening, negative stock."""
