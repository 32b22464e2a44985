"""The command line of ``speechbrain_ext.inference``."""

import os
import sys

# A model's folder, should it be the current one, is no place for modules.
if sys.path[0] == os.getcwd():
    del sys.path[0]

from speechbrain_ext.inference.command import main  # noqa: E402

if __name__ == "__main__":
    main()
