"""What MATLAB's exporter writes, and what has to be repaired in it."""
