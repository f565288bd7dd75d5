"""Fuzz targets over model bytes and over random well-formed graphs, and their short forms."""
