"""The engine: compiles schemas with the node types, and carries runs. Pure; no Temporal, no I/O."""
