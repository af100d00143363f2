"""What tests need beside Python: ``python -m ops.tools_for_tests`` installs what is missing, where it may."""

from __future__ import annotations

import shutil
import sys

from ops import debian
from ops.errors import LocalServerError

TOOLS = {
    "chromium": ("chromium", "tests of the pages need Chromium"),
    "docker-compose": ("docker-compose", "the test of docker-compose.yml needs Debian's docker-compose"),
    "pg_ctlcluster": ("postgresql", "tests of TLS need a PostgreSQL that speaks it: the embedded one does not"),
    "softhsm2-util": ("softhsm2", "tests of the keyring in a device need SoftHSM2"),
}
"""Program, the Debian package that has it, and why it is needed."""


def install_missing() -> list[str]:
    """Install each missing tool; return a line for each that is missing still."""
    lines = []
    for program, (package, why) in TOOLS.items():
        if shutil.which(program) is None:
            try:
                debian.install((package,), why)
            except LocalServerError as error:
                lines.append(str(error))
    return lines


if __name__ == "__main__":
    sys.stderr.writelines(f"{line}\n" for line in install_missing())
