"""What `python3 clients/shell` runs, and a zip file of this directory."""

import sys

from sierra_es_shell.start import main

sys.exit(main())
