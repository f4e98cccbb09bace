"""Final answers: find them in a text, bring them to canonical form, group equal ones."""
