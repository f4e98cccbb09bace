"""Who gets how much: difficulty, accuracy against cost, allocation, and the laws of the field."""
