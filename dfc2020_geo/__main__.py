"""The command ``python -m dfc2020_geo``."""

from .main import main

if __name__ == '__main__':
    main()
