"""`python -m perdure`."""

from __future__ import annotations

import os
import sys

# `python -m` puts the working folder on the module path, where an app's `queue/` would hide the module of that name
if sys.path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]

from perdure.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
