"""Records of operators that sample images: grids, regions of interest, deformed windows, columns."""
