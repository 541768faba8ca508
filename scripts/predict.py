"""Predict as the 2020 baseline's predict.py does, by the same flags."""

import sys

from dfc2020_geo.baseline.prediction import main
from dfc2020_geo.main import run_plainly

if __name__ == '__main__':
    run_plainly(main, sys.argv[1:], 'predict.py')
