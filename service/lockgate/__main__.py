"""`python -m lockgate` is `lockgate`."""

import sys

from lockgate.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
