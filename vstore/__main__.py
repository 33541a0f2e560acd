"""``python -m vstore``: the command line, where it is not on the PATH."""

import sys

from vstore.cli.main import main

sys.exit(main())
