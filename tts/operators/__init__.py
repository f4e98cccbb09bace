"""What a node of a pipeline does."""
