"""Answers whose comparison takes for ever: sympy evaluates powers of powers digit by digit."""

ENDLESS = ("999999999^{9^{9^9}}", "x^{9^{9^9}}+1")
TOWERS = tuple(f"{k}^{{9^{{9^{{9}}}}}}" for k in range(2, 8))
