"""Runs the public test suite of the Array API standard against graphnn.array_api: ``make array-api``.

The suite (github.com/data-apis/array-api-tests) and the text of the standard, from which it takes signatures and special
cases, are fetched once, at the commits named here, into .cache/. What it skips stands in skips.txt, with reasons.
Further arguments go to pytest, such as ``--max-examples 1000`` or the name of a test.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "array-api-tests"

# The commit is the last one before the suite began to take complex numbers for granted.
SUITE = "https://github.com/data-apis/array-api-tests", "914124aa7358dd1dbcdfc2e4e1ca1757ff7f75d3"
STANDARD = "https://github.com/data-apis/array-api", "5f847a3858875c682ae901aa22b0413bf24be9da"


def checked_out(folder, url, commit):
    """A folder with the files of a repository at a commit; fetched where they are not there yet."""

    def git(*arguments):
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)

    if git("rev-parse", "HEAD").stdout.strip() == commit and (folder / ".git").exists():
        return
    print(f"fetching {url} at {commit[:10]} ...", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for step in (("init", "--quiet"), ("fetch", "--quiet", "--depth", "1", url, commit), ("checkout", "-q", commit)):
        done = git(*step)
        if done.returncode:
            sys.exit(f"git {' '.join(step)} failed in {folder}:\n{done.stderr}\nIs there a network?")


def main():
    checked_out(CACHE, os.environ.get("ARRAY_API_TESTS_URL", SUITE[0]), SUITE[1])
    checked_out(CACHE / "array-api", os.environ.get("ARRAY_API_URL", STANDARD[0]), STANDARD[1])
    settings = {
        "ARRAY_API_TESTS_MODULE": "graphnn.array_api",
        "ARRAY_API_TESTS_SKIP_DTYPES": "complex64,complex128",
    }
    given = sys.argv[1:]
    tests = [] if any("test_" in argument for argument in given) else ["array_api_tests"]
    # Its own settings: pytest would find those of graphnn further up.
    command = [sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", ".", "-q", "--disable-deadline"]
    skips = f"--skips-file={HERE / 'skips.txt'}"
    done = subprocess.run([*command, skips, *given, *tests], cwd=CACHE, env=os.environ | settings, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
