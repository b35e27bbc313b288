"""The files that a commit of this working tree would hold, and how checks report."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = (".cpp", ".h", ".td", ".def", ".py", ".sh", ".cmake", ".mlir", ".fbs")


def files(root=ROOT):
    """Paths relative to `root` that git tracks or would add; a walk where there is no git."""
    listing = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                             capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        paths = listing.stdout.splitlines()
    else:
        paths = [os.path.relpath(os.path.join(folder, name), root)
                 for folder, _, names in os.walk(root) for name in names]
        hidden = ("build", ".git/", ".venv/", ".cache/")
        paths = [p for p in paths if not p.startswith(hidden) and "__pycache__" not in p]
    return sorted(p for p in paths if os.path.isfile(os.path.join(root, p)))


def read(path, root=ROOT):
    """The text of a file, or None where it is not text."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    if b"\0" in data[:8192]:
        return None
    return data.decode("utf-8", errors="replace")


def report(violations):
    """Prints `file:line: what, what to do` for each; the process's exit code."""
    for violation in violations:
        print(violation, file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    # The files with one of the suffixes given, one a line.
    print("\n".join(path for path in files() if path.endswith(tuple(sys.argv[1:]))))
