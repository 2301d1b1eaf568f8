"""Check that the pages name only what exists: files and folders in backticks, and links."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
# Folders that ARCHITECTURE.md leaves out where it speaks of a crate's file.
BASES = ["", "raft", "raft/machine/src", "node/src", "storage/src", "proto/src"]
TOP = re.compile(r"(raft|proto|storage|node|python|cluster-tests|scripts|docs|services|machine)/")


def main() -> int:
    """Print what is named and missing; 1 where there is any."""
    missing = [line for page in PAGES for line in _missing(page)]
    for line in missing:
        sys.stderr.write(f"error: {line} does not exist\n")
    return 1 if missing else 0


def _missing(page: Path) -> Iterator[str]:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        if not page.parent.joinpath(link).exists():
            yield f"{page.name}: link {link}"
    for name in re.findall(r"`([A-Za-z0-9_./-]+)`", text):
        if TOP.match(name) and not any((ROOT / base / name).exists() for base in BASES):
            yield f"{page.name}: {name}"


if __name__ == "__main__":
    sys.exit(main())
