"""What the PyTorch converter is made of; only ``files`` can be imported without torch."""
