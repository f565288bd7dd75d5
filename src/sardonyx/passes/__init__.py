"""Rewrites of the graph, from simplification to fusion; ``pipeline`` lists them in order."""
