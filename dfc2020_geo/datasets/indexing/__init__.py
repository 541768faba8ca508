"""Which files of a directory or pack form which patch."""
