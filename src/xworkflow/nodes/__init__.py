"""The node types, one file each: data model, rules, work. The world is reached through ports."""
