"""Operators that look at the characters of strings, and n-grams."""
