"""The command line: stages, maps, packs, the demo, and what they say of settings."""
