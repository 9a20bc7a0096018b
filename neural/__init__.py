"""Neural room: nets, their weights, data mixing and training; torch."""
