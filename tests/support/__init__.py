"""What tests of several rooms share."""

from pathlib import Path

#: The root of the repository, and the golden files.
ROOT = Path(__file__).parents[2]
DATA = ROOT / 'tests' / 'data'
