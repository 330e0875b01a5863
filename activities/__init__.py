"""Where the workflow meets the world: the only room that is both Temporal and I/O."""
