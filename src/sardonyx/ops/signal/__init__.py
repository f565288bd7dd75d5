"""Records of signal processing: Fourier transforms and what goes with them."""
