"""The pure core: no Temporal, no I/O, no clock, no randomness."""
