"""Sources of any format and compression, read as streams and written in one normal form."""
