"""Value heads: the chance of a right answer, read from the policy's own hidden states."""
