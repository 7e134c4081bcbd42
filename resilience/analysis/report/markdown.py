"""A report as Markdown, for a repository or the appendix of a paper."""

from pathlib import Path

from resilience.analysis.figures import Plate
from resilience.analysis.report.document import Block, Bullets, Document, Grid

LONGEST_TABLE = 60  # rows; readers of a longer table are referred to its CSV file


def to_markdown(document: Document, directory: Path) -> str:
    """Render a report as Markdown, with figures linked relative to the directory."""
    parts = [f"# {_text(document.title)}", _text(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts.extend(_block(block, directory) for block in section.blocks)
    return "\n\n".join(parts) + "\n"


def _block(block: Block, directory: Path) -> str:
    if isinstance(block, Plate):
        link = block.png.relative_to(directory).as_posix()
        title = _text(block.title)
        return f"![{title}]({link})\n\n**{title}.** {_text(block.caption)}"
    if isinstance(block, Grid):
        return _table(block)
    if isinstance(block, Bullets):
        items = "\n".join(f"- {_text(f'{item.claim} {item.detail}')}" for item in block.findings)
        return f"### {_text(block.heading)}\n\n{items}"
    return _text(block)


def _table(grid: Grid) -> str:
    caption = _text(grid.caption)
    if len(grid.rows) > LONGEST_TABLE:
        return f"{caption} {len(grid.rows)} rows: see `{grid.name}.csv`."
    columns = list(grid.rows.columns)
    lines = [
        "| " + " | ".join(_text(str(column)) for column in columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for row in grid.rows.itertuples(index=False, name=None):
        lines.append("| " + " | ".join(map(_text, grid.texts(row))) + " |")
    return f"{caption}\n\n" + "\n".join(lines)


def _text(text: str) -> str:
    """Escape the characters that have a meaning in Markdown or HTML."""
    for mark in ("\\", "`", "*", "_", "|", "[", "]", "<", ">", "#"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
