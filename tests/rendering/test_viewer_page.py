"""The viewer as a browser shows it: Chromium without a display, drawing in software."""

import dataclasses
import io
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eventhpe.body import load_body
from eventhpe.rendering.viewer import Viewer
from tests.rendering.rendering_scenes import MemoryRecording, motion

pytest.importorskip("viser", reason="the viewer's package is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="nothing drives a browser here")

pytestmark = pytest.mark.slow

_SOFTWARE = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture
def viewer() -> Iterator[Viewer]:
    """A person facing the camera, with a second one beside, served by a thread."""
    body = load_body()
    standing = dataclasses.replace(
        motion(steps=40),
        body_id=body.body_id,
        body_sha256=body.sha256,
        global_orient=np.tile(np.float32([np.pi, 0, 0]), (40, 1)),
    )
    other = dataclasses.replace(standing, transl=standing.transl + np.float32([-0.9, 0, 0]))
    with Viewer(standing, body, MemoryRecording(2.0), other, port=0) as running:
        threading.Thread(target=running.run, daemon=True).start()
        yield running


@pytest.fixture
def page(viewer: Viewer) -> Iterator[Any]:
    """The viewer's page, ``page.told`` what went wrong in it and ``page.asked`` what it loaded."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium (on Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_SOFTWARE)
        page = browser.new_page(viewport={"width": 1000, "height": 500})
        page.told, page.asked = [], []
        page.on("pageerror", lambda error: page.told.append(str(error)))
        page.on("console", lambda m: m.type == "error" and page.told.append(m.text))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(viewer.url)
        page.wait_for_selector("text=PEL-MPJPE", timeout=120_000)
        yield page
        browser.close()


def coloured(page: Any, rule: Callable[[Any, Any, Any], Any]) -> int:
    """Pixels of the page left of the panel whose r, g, b (int) follow a rule."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(timeout=120_000))).convert("RGB"))
    return int(rule(*picture[:, :650].astype(int).transpose(2, 0, 1)).sum())


def body_green(r: Any, g: Any, b: Any) -> Any:
    return (g > r + 40) & (g > b + 15)


def other_yellow(r: Any, g: Any, b: Any) -> Any:
    return (r > 120) & (abs(r - g) < 30) & (b < r - 60)  # events are orange


def until(page: Any, condition: Callable[[], bool]) -> bool:
    """Whether it comes true within a minute: drawing in software takes seconds."""
    for _ in range(60):
        if condition():
            return True
        page.wait_for_timeout(1000)
    return False


def test_the_page_shows_the_people_plays_and_hides_what_is_switched_off(page, viewer) -> None:
    assert until(page, lambda: coloured(page, body_green) > 300), "the person is drawn"
    beside = coloured(page, other_yellow)
    assert beside > 300, "and the one beside"

    page.get_by_role("checkbox", name="compared").click()
    assert until(page, lambda: coloured(page, other_yellow) < beside - 300)
    page.get_by_role("checkbox", name="mesh").click()
    assert until(page, lambda: coloured(page, body_green) < 30)
    page.get_by_role("checkbox", name="mesh").click()
    assert until(page, lambda: coloured(page, body_green) > 300)

    before = viewer.player.now_s
    page.get_by_role("button", name="Play").click()
    assert until(page, lambda: viewer.player.now_s > before)
    page.keyboard.press("Space")
    assert until(page, lambda: not viewer.player.playing)
    shown = f"{viewer.player.now_s:.3f} of"
    assert until(page, lambda: page.get_by_text(shown).count() == 1)
    at = viewer.player.tick
    page.keyboard.press("j")
    assert until(page, lambda: viewer.player.tick == at - 1)

    (client,) = viewer.server.get_clients().values()
    page.get_by_role("button", name="Look through the camera").click()
    eye = viewer.server.scene.get_handle_by_name("/camera").position
    assert until(page, lambda: bool(np.allclose(client.camera.position, eye, atol=1e-3)))

    assert page.told == []
    assert all(url.startswith((viewer.url, "data:", "blob:")) for url in page.asked), page.asked
