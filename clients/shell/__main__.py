"""What `python3 clients/shell` runs, and a zip file of this directory."""

import sys

try:
    from sierra_es_shell.command_line import main
except ModuleNotFoundError as error:
    if error.name != "psycopg":
        raise
    sys.exit("sierra: Python's module psycopg is missing\nHINT: Install it: apt install python3-psycopg, or pip install psycopg.")

sys.exit(main())
