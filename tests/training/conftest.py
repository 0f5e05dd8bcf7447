"""Make the helper modules of this folder importable from its subfolders."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
