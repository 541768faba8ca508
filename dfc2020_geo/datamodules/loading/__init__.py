"""Loaders of raw patches, with threads or processes as workers."""
