"""``python -m mim``."""

import sys

from mim.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
