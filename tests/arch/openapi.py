"""The description of the HTTP interface as a file; `python -m tests.arch.openapi` writes it."""

import json
from pathlib import Path
from typing import cast

from dispensed.services.site import Site
from dispensed.settings import DEFAULT_CRONS
from dispensed.web.app import create_app
from dispensed.web.context import Jobs

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"


def document() -> str:
    """Return the description; no part of the daemon is started for it."""
    app = create_app(
        cast("Site", object()),
        links=tuple,
        jobs=cast("Jobs", object()),
        job_names=DEFAULT_CRONS,
    )
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SNAPSHOT.parent.mkdir(exist_ok=True)
    SNAPSHOT.write_text(document())
