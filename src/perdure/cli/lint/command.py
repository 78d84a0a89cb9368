"""`perdure lint`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from perdure.cli.lint.runner import lint


def lint_command(
    paths: Annotated[list[str] | None, typer.Argument(help="Files and folders; the current folder if none.")] = None,
    output_format: Annotated[str, typer.Option(help="text or json")] = "text",
    select: Annotated[str, typer.Option(help="Only these rules, comma-separated; PD1 selects all that begin so.")] = "",
    ignore: Annotated[str, typer.Option(help="Not these rules, comma-separated.")] = "",
) -> None:
    """Check orchestrators for what replay would do differently. Exits with 0 (clean), 1 (findings) or 2 (usage)."""
    code = lint(
        paths or ["."],
        output_format=output_format,
        select=_codes(select),
        ignore=_codes(ignore),
        out=sys.stdout,
        err=sys.stderr,
    )
    raise typer.Exit(code)


def _codes(text: str) -> list[str]:
    return [code.strip().upper() for code in text.split(",") if code.strip()]
