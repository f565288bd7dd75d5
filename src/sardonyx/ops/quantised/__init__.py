"""Operators on quantised tensors: integer products and convolutions, requantised or dequantised as they are summed."""
