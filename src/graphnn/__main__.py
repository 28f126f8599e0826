"""``python -m graphnn`` is the ``graphnn`` command."""

import sys

from graphnn.cli import main

sys.exit(main())
