"""Networks from and for other tools."""
