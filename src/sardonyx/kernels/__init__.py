"""Kernels: frozen descriptions that emit themselves in the kernel language. One file per kind."""
