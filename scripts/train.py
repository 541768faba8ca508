"""Train as the 2020 baseline's train.py does, by the same flags."""

import sys

from dfc2020_geo.baseline.training import main
from dfc2020_geo.main import run_plainly

if __name__ == '__main__':
    run_plainly(main, sys.argv[1:], 'train.py')
