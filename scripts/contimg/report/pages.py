"""Pages that need nothing but themselves: style, pictures and data are inside them.

All text that comes from outside is escaped by jinja2, and the page's own security policy forbids
scripts and requests, so that it opens alike from a disk, a mail and a server.
"""

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image as Pixels

from contimg.report import text
from contimg.status import written_whole
from contimg.version import workflow_version

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes
    ----------
    data : bytes of a PNG or JPEG file.
    alt : what it shows, for those who do not see it.
    density : its pixels to each of the page's.
    """

    data: bytes
    alt: str
    density: float = 2.0

    @property
    def width(self) -> int:
        """Width on the page, pixels."""
        return round(Pixels.open(io.BytesIO(self.data)).width / self.density)

    @property
    def uri(self) -> str:
        """The picture as a `data:` URI."""
        kind = "png" if self.data.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Plot:
    """A picture with its title and what there is to say about it."""

    title: str
    picture: Picture
    caption: str = ""


def environment() -> Environment:
    """Return jinja2 with autoescape, and the filters of `contimg.report.text`."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "fixed", "percent", "value_of", "heading", "listed"):
        made.filters[name] = getattr(text, name)
    made.globals.update(plural=text.plural, version=workflow_version())
    return made


def render(template: str, content: Mapping[str, Any]) -> str:
    """Return a page as text.

    Raises
    ------
    jinja2.UndefinedError
        When the template asks for something that `content` lacks.
    """
    return environment().get_template(template).render(content)


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> None:
    """Render a page and write it, whole or not at all."""
    page = render(template, content)
    with written_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def link(target: Path, page: Path) -> str:
    """Return the relative, quoted URL that leads from a page to another file."""
    return quote(Path(os.path.relpath(target, page.parent)).as_posix())
