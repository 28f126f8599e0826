"""Floor 4: graphs rewritten without a change of meaning."""
