"""The commands that users have, for scripts."""

import subprocess
import sys


def mim(*words: str) -> None:
    """A command of mim; one that found problems, such as a cohort without cancers, goes on."""
    done = subprocess.run([sys.executable, "-m", "mim", *words], check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"mim {words[0]} could not run")
