"""Programs that evolve: a population by an evaluator's score, and a model that improves on it."""
