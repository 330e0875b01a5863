"""The script of a sandbox process: ``python -I start.py ENGINE SYS_PATH_AS_JSON``.

The environment is empty, so what the worker can import comes as an argument.
"""

import json
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    engine, import_path = sys.argv[1:3]
    sandbox_room = str(Path(__file__).resolve().parent.parent)
    # the worker's own come first: it and its processes must load the same code
    sys.path = [*json.loads(import_path), *sys.path, sandbox_room]
    import_module(f"child_process.{engine}").main()


if __name__ == "__main__":
    main()
