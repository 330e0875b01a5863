"""Starting runs, and watching them: needs a Temporal server, but neither worker nor its rooms."""
