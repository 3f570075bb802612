"""Pages of docs/benchmarks: what was measured is put between two comments, the words around it are people's."""

from pathlib import Path


def replace(page: Path, name: str, text: str) -> None:
    """Put the text between `<!-- NAME -->` and `<!-- end of NAME -->`. Raises ValueError where they are not there."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{page} has no place for {name}: the lines {begin.strip()} and {end}")
    page.write_text(f"{before}{begin}\n{text.rstrip()}\n\n{end}{after}")
