"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        help="Project folder. Default: $WYCKFLOW_PROJECT, or the one you are in.",
        show_default=False,
    ),
]

CampaignOption = Annotated[
    str | None,
    typer.Option("--campaign", "-c", help="Only this campaign.", show_default=False),
]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs instead of tables.")
]
