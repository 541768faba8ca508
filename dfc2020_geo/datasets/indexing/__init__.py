"""Indexing: the files of each patch, found in a directory or a pack."""
