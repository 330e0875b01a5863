"""The node types, one file each: data model, rules, work. Pure: the world is reached through ports."""
