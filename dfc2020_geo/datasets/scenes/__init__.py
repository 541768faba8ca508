"""torchgeo ``RasterDataset``s of Sentinel-1, Sentinel-2 and label scenes."""
