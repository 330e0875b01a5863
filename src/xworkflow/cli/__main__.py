"""``python -m xworkflow.cli``: the command, for this very interpreter and installation."""

from __future__ import annotations

from xworkflow.cli import main

if __name__ == "__main__":
    main()
