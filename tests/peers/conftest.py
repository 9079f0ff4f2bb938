"""What the peer tests need: independent implementations, found where they were installed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

NODE_FOLDER = Path(__file__).parent / "node"
INSTALL = "npm ci --prefix tests/peers/node"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js with the packages of tests/peers/node."""

    executable: str
    folder: Path

    def command(self, script: str, *arguments: str) -> list[str]:
        """The command line that runs one of the scripts in the folder."""
        return [self.executable, str(self.folder / script), *arguments]


@pytest.fixture(scope="session")
def node() -> Node:
    """Node.js and its packages; skips with what to do when they are absent."""
    executable = shutil.which("node")
    if executable is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (NODE_FOLDER / "node_modules").is_dir():
        pytest.skip(f"the packages of the peers are not installed: {INSTALL}")
    return Node(executable, NODE_FOLDER)
