"""Make the pictures of docs/gallery.md: ``python -m scripts.gallery [--out docs/gallery]``.

Runs the commands that stand in docs/gallery.md, in their order and in a folder that is thrown away,
and keeps pictures of what they write. Pages are photographed in Chromium, driven by playwright;
where one of the two is missing those pictures stay as they are.
"""

import argparse
import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from eventhpe.cli import main as eventhpe
from eventhpe.errors import InputError
from eventhpe.files import atomic_path
from eventhpe.rendering.mesh import MeshRenderer
from eventhpe.rendering.overlay import BACKGROUND, STATE_COLOURS, TEXT_COLOUR
from scripts import evaluate

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "eventhpe": eventhpe,
    "python scripts/evaluate.py": evaluate.main,
}
WIDTHS = {"report": 1280, "report-narrow": 400}
REPORT_ROWS = 1330  # what stands below is left out
SHOWN_S = 2.0  # the moment at which both pages are photographed
CHROMIUM_FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SETTLE_MS = 1000
WAIT_MS = 120_000  # drawing WebGL in software takes seconds


def documented() -> list[list[str]]:
    """The commands of docs/gallery.md but its own, as a shell would part them."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line != "python -m scripts.gallery"]


def run(words: list[str]) -> None:
    """Run a documented command in this process.

    Raises:
        RuntimeError: it failed; its own words are on stderr.
    """
    for program, call in PROGRAMS.items():
        count = len(program.split())
        if words[:count] == program.split():
            print("$", shlex.join(words), flush=True)
            if call(words[count:]):
                raise RuntimeError(f"failed: {shlex.join(words)}")
            return
    raise RuntimeError(f"no command that a gallery is made of: {shlex.join(words)}")


def main() -> int:
    """Make the gallery; the exit code is 2 where its folder cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gallery", metavar="DIR")
    out = parser.parse_args().out.resolve()
    commands = documented()
    views = [words for words in commands if words[:2] == ["eventhpe", "view"]]
    try:
        with TemporaryDirectory() as folder, contextlib.chdir(folder):
            for words in commands:
                if words not in views:
                    run(words)
            keep_pictures(out)
            photograph(views[0], out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    total = sum(path.stat().st_size for path in out.iterdir())
    print(f"gallery: {out} ({total / 1e6:.2f} MB)")
    return 0


def keep_pictures(out: Path) -> None:
    """The pictures that need no browser, from what the commands have written here."""
    middle = sorted(Path("walk/frames").iterdir())
    keep(Image.open(middle[len(middle) // 2]), out / "overlay.png")
    keep(Image.open(sorted(Path("jump/frames").iterdir())[20]), out / "overlay-jump.png")
    keep(Image.open("walk/contact_sheet.png"), out / "contact-sheet.png", width=1280)
    keep(Image.open("walk/preview.png"), out / "preview.png")
    (flow,) = Path("walk/flow").glob("*.png")
    keep(Image.open(flow), out / "flow.png")
    keep(Image.fromarray(in_a_row(sorted(Path("walk/meshes").glob("*.obj")))), out / "export.png")
    with atomic_path(out / "slow.gif") as partial:
        shutil.copyfile("walk/slow.gif", partial)


def keep(picture: Image.Image, to: Path, width: int | None = None) -> None:
    """Write a picture as PNG, at most so wide."""
    if width is not None and picture.width > width:
        size = width, round(picture.height * width / picture.width)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    with atomic_path(to) as partial:
        picture.save(partial, format="png", optimize=True)


def in_a_row(files: list[Path]) -> np.ndarray:
    """Exported meshes (OBJ, metres, y up, read by trimesh) side by side, over a line at height 0.

    Returns:
        (300, 160 a mesh, 3) uint8, each seen from the camera's side of the world, level.
    """
    rows, columns, distance, middle = 300, 160, 6.0, 0.9
    focal = rows / 2.6 * distance  # 2.6 m fill the height
    K = np.array([[focal, 0, columns / 2], [0, focal, rows / 2], [0, 0, 1]])
    tiles = []
    with MeshRenderer(columns, rows, K) as renderer:
        for file in files:
            mesh = trimesh.load_mesh(file, process=False)
            # From x right, y up, z towards the camera to the camera's x right, y down, z forward.
            seen = mesh.vertices * [1, -1, -1] + [0, middle, 0]
            seen[:, ::2] += [0, distance] - seen[:, ::2].mean(axis=0)
            drawn, mask = renderer.render(seen, mesh.faces, STATE_COLOURS["tracked"])
            tile = np.full_like(drawn, BACKGROUND)
            tile[round(rows / 2 + focal * middle / distance)] = TEXT_COLOUR
            tile[mask] = drawn[mask]
            tiles.append(tile)
    return np.concatenate(tiles, axis=1)


def photograph(view: list[str], out: Path) -> None:
    """Pictures of the report and of the viewer, where there is a browser and its driver.

    Args:
        view: the documented command that starts the viewer.
    """
    with contextlib.ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
        except InputError as error:
            print(f"report.jpg, report-narrow.jpg and viewer.jpg stay as they are: {error}")
            return
        for name, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": REPORT_ROWS})
            page.goto(Path("walk/report.html").absolute().as_uri())
            page.wait_for_timeout(SETTLE_MS)
            page.evaluate(f"report.clock.seek({SHOWN_S})")
            page.wait_for_timeout(SETTLE_MS)
            keep_photograph(page.screenshot(timeout=WAIT_MS), out / f"{name}.jpg")
            page.close()
        url = stack.enter_context(served(view))
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(url)
        page.wait_for_selector("text=PEL-MPJPE", timeout=WAIT_MS)
        page.get_by_text("Software WebGL").wait_for(timeout=WAIT_MS)
        page.locator(".mantine-Notification-closeButton").first.click(timeout=WAIT_MS)
        time_box = page.get_by_role("textbox").first
        time_box.fill(str(SHOWN_S), timeout=WAIT_MS)
        time_box.press("Enter")
        keep_photograph(settled(page), out / "viewer.jpg")


def settled(page: Any) -> bytes:
    """A screenshot (PNG) once the page no longer changes; its scene comes after its text."""
    page.wait_for_timeout(10 * SETTLE_MS)
    before, now = b"", page.screenshot(timeout=WAIT_MS)
    while now != before:
        page.wait_for_timeout(3 * SETTLE_MS)
        before, now = now, page.screenshot(timeout=WAIT_MS)
    return bytes(now)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The system's Chromium without a display.

    Raises:
        InputError: it, or playwright, is not there.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        remedy = 'Run: pip install "eventhpe[dev]"'
        raise InputError("the browser", str(error), "playwright", remedy) from error
    if path is None:
        raise InputError("the browser", "none", "chromium", "Run: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def served(view: list[str]) -> Iterator[str]:
    """The viewer as documented, in a process of its own; the address of its page."""
    code = "from eventhpe.cli import main; raise SystemExit(main())"
    words = [sys.executable, "-c", code, *view[1:], "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            first = process.stdout.readline() if process.stdout else ""
            if (found := re.search(r"http://\S+", first)) is None:
                raise RuntimeError(f"failed: {shlex.join(view)}")
            yield found[0]
        finally:
            process.terminate()  # Ctrl-C would be ignored where a shell runs this in the background
            process.communicate()


def keep_photograph(png: bytes, to: Path) -> None:
    """Write a screenshot as JPEG."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    with atomic_path(to) as partial:
        picture.save(partial, format="jpeg", quality=80, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
