"""Land cover mapping from Sentinel-1 and Sentinel-2, as an extension of torchgeo."""

__version__ = '0.1.0'
