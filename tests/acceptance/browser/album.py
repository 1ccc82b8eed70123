# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of the pages in both themes, kept in build/pictures for people to look at."""

import re
import shutil
from html import escape
from pathlib import Path

from playwright.sync_api import Page

from tests.acceptance.browser.visitor import serious

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "build" / "pictures"
THEMES = ("light", "dark")
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 780}
_HEAD = """<!doctype html><meta charset="utf-8"><title>The pages of slidegate</title>
<style>body{font:16px sans-serif;margin:2rem;background:#888} img{width:100%} h2{margin:2rem 0 .5rem}
section{display:grid;grid-template-columns:1fr 1fr;gap:1rem} section.narrow{grid-template-columns:20rem 20rem}
</style>
"""


class Album:
    """What was photographed, by name; a name begins with that of its page."""

    def __init__(self, folder: Path = KEPT) -> None:
        self.folder = folder
        self.names: list[str] = []
        shutil.rmtree(folder, ignore_errors=True)
        for theme in THEMES:
            (folder / theme).mkdir(parents=True)

    def take(self, page: Page, name: str, *, whole: bool = False, narrow: bool = False) -> None:
        """Photograph a page as it is now in both themes; nothing may stand in anybody's way in either."""
        if narrow:
            page.set_viewport_size(NARROW)
            name += "-narrow"
        if whole:
            page.evaluate("() => window.scrollTo(0, 0)")
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            page.wait_for_timeout(150)  # plots and pictures are drawn anew
            page.screenshot(
                path=self.folder / theme / f"{name}.jpg", type="jpeg", quality=80, full_page=whole,
                animations="disabled",
            )  # fmt: skip
            assert serious(page, None if theme == "light" else "color-contrast") == [], (name, theme)
        if narrow:
            page.set_viewport_size(WIDE)
        self.names.append(name)

    def bind(self) -> None:
        """Put all pictures on one page, those of the two themes side by side."""
        parts = [
            f"<h2>{escape(name)}</h2><section{' class=narrow' if name.endswith('-narrow') else ''}>"
            + "".join(f'<img src="{theme}/{name}.jpg" alt="">' for theme in THEMES)
            + "</section>"
            for name in self.names
        ]
        (self.folder / "index.html").write_text(_HEAD + "\n".join(parts), encoding="utf-8")

    def missing(self) -> list[str]:
        """Return which pages have no picture in a theme."""
        return [
            f"{theme}/{page}"
            for theme in THEMES
            for page in _pages()
            if not any(f"{taken}-".startswith(f"{page}-") for taken in self._taken(theme))
        ]

    def _taken(self, theme: str) -> list[str]:
        return [path.stem for path in (self.folder / theme).glob("*.jpg") if path.stat().st_size > 0]


def _pages() -> set[str]:
    """Return the pages that there are: what addresses mean, but for the one that leads to another."""
    text = (ROOT / "web" / "src" / "router.ts").read_text(encoding="utf-8")
    kinds = text.partition("export function")[0]
    return set(re.findall(r'"([a-z]+)"', kinds)) - {"home"} | {"sign-in"}
