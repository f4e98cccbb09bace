"""Two generated tasks with exact checks: chained arithmetic and countdown."""
