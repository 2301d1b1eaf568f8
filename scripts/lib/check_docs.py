"""Check that the pages name only what exists: files and folders in backticks, and links."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]
# Where ARCHITECTURE.md speaks of a crate's file without its folder.
BASES = ["", "raft", "raft/machine/src", "node/src", "storage/src", "proto/src"]
TOP = {"raft", "proto", "storage", "node", "python", "cluster-tests", "scripts", "docs", "services", "machine"}


def main() -> int:
    """Print what is named and missing; 1 where there is any."""
    missing = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            if not (ROOT / page).parent.joinpath(link).exists():
                missing.append(f"{page}: link {link}")
        for name in re.findall(r"`([A-Za-z0-9_./-]+)`", text):
            if name.split("/")[0] in TOP and "/" in name and not any((ROOT / base / name).exists() for base in BASES):
                missing.append(f"{page}: {name}")
    for line in missing:
        sys.stderr.write(f"error: {line} does not exist\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
