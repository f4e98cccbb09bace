"""Growing a tree of reasoning steps: the tree, its KV blocks, the driver, what a policy says."""
