"""Records of com.microsoft: operators outside the standard that exported and optimised models contain."""
