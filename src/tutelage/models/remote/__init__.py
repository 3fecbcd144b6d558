"""Models behind a network: asked many at a time, paid once, kept, capped, and never believed."""
