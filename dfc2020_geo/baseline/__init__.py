"""The 2020 baseline's files and command lines."""
