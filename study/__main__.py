import sys

# `python -m` looks for modules in the current folder first, where a user may have a `random.py`.
if not sys.flags.safe_path:
    folder = sys.path.pop(0)
    if __file__ == f"{folder}/study/__main__.py":  # the program itself lies there, and is not installed
        sys.path.append(folder)

from study.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
