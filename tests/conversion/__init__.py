"""Converting trained models."""
