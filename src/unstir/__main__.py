"""Run the commands: ``python -m unstir``."""

import sys

from unstir.cli import main

sys.exit(main())
