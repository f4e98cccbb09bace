"""Generated tasks with exact checks: chained arithmetic, countdown and sudoku."""
