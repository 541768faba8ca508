"""Files: rasters, TIFFs, packs, scenes, and how they are written."""
