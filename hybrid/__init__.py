"""Classical separation: one method per module, each a Prior and a Separator."""
