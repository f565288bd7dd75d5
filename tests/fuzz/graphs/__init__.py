"""Random well-formed graphs: made op by op on real numbers, checked, and made smaller when they fail."""
