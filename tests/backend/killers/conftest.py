"""Makes `killers.py` importable for the programs beside it, whose docstrings pytest looks through."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
