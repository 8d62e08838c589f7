"""The report in headless Chromium: silent, offline, moving, and laid out at any width.

Driven by playwright through the system's own Chromium (Debian's package ``chromium``).
"""

import base64
import io
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from eventhpe.body import Body, load_body
from eventhpe.events.recording import open_recording
from eventhpe.rendering.report import write_report
from eventhpe.world import world_of
from tests.rendering.report_scenes import walk

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# SwiftShader draws WebGL on the processor.
WITH_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
WITHOUT_WEBGL = ("--disable-gpu", "--disable-3d-apis")
WIDTHS = (1280, 400)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def motions(simulated_recording, body):
    return walk(simulated_recording, body)


@pytest.fixture(scope="module")
def report(simulated_recording, motions, body, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "report.html"
    recording, (estimate, truth) = open_recording(simulated_recording), motions
    write_report(estimate, recording, body, out, truth=truth, backend="rasterizer", progress=False)
    return out


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with pytest.importorskip("playwright.sync_api").sync_playwright() as driver:
        yield driver


@contextmanager
def opened(driver: Any, report: Path, width: int, flags: tuple[str, ...]) -> Iterator[Any]:
    """The page in a fresh browser; leaving fails on any message, error or request of the page."""
    browser = driver.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", "--force-device-scale-factor=1", *flags]
    )
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    # The driver's own warnings about drawing on the processor are no words of the page.
    page.on("console", lambda m: "GL Driver" in m.text or said.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: said.append(f"request: {request.url[:80]}"))
    page.goto(report.as_uri())
    until(page, "(v => v.readyState >= 2 || v.error !== null)(document.getElementById('video'))")
    yield page
    asked = [line for line in said if not line.startswith(("request: file", "request: data:"))]
    assert asked == []
    assert sum(line.startswith("request: file") for line in said) == 1, "the page itself"
    browser.close()


@pytest.fixture(scope="module")
def wide(driver, report) -> Iterator[Any]:
    with opened(driver, report, WIDTHS[0], WITH_WEBGL) as page:
        yield page


def until(page: Any, condition: str) -> None:
    """Wait for a condition. Playwright's own way evaluates text in the page, which its policy
    forbids."""
    end = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(30)


def picture(page: Any, selector: str) -> np.ndarray:
    shot = page.locator(selector).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def seek(page: Any, seconds: float) -> None:
    page.evaluate(f"report.clock.seek({seconds})")
    until(page, "!document.getElementById('video').seeking")


def test_the_players_joints_are_the_motions(wide, motions, body) -> None:
    """By the browser's own forward kinematics, at a step and half way to the next one."""
    for actor, sequence in enumerate(motions):
        world = world_of(motions[0], body)
        half = sequence.at(sequence.t_us[[10]] + 25_000)
        for moment, known, step in ((10, sequence, 10), (10.5, half, 0)):
            found = wide.evaluate(f"report.player.actors[{actor}].pose({moment}).places")
            _, joints = next(known.posed(body, [step]))
            assert np.array(found) == pytest.approx(world.points(joints), abs=2e-3)


def test_states_between_steps_are_the_motion_files(wide, motions) -> None:
    estimate = motions[0]
    times = np.arange(0, 35, 0.25)
    found = wide.evaluate(f"{times.tolist()}.map(t => report.player.actors[0].stateAt(t))")
    moments = (estimate.t_us[0] + times * estimate.step_us).astype(np.int64)
    assert found == estimate.at(moments).state.tolist()


def test_it_plays_and_everything_follows_one_clock(wide) -> None:
    seek(wide, 0.3)
    before = picture(wide, "#canvas")
    wide.click("#play")
    until(wide, "report.clock.seconds > 0.8")
    until(wide, "document.getElementById('video').currentTime > 0.5")
    wide.click("#play")
    now = wide.evaluate("report.clock.seconds")
    wide.wait_for_timeout(200)
    assert wide.evaluate("report.clock.seconds") == now, "paused"
    assert (np.abs(picture(wide, "#canvas") - before).sum(axis=2) > 60).mean() > 0.01
    assert float(wide.input_value("#time")) == pytest.approx(now, abs=1e-3)
    share = wide.get_attribute("[data-plot='3'] .cursor", "x1")
    first, last = wide.evaluate("[report.clock.first, report.clock.last]")
    assert float(share[:-1]) == pytest.approx(100 * (now - first) / (last - first), abs=0.1)
    assert re.match(r"0\.\d\d / 1\.80 s|1\.\d\d / 1\.80 s", wide.inner_text("#clock"))


def test_it_plays_to_the_end_and_begins_again(wide) -> None:
    wide.select_option("#speed", "2")
    seek(wide, 1.6)
    wide.keyboard.press("Escape")
    wide.click("#play")
    until(wide, "report.clock.seconds === report.clock.last && !report.clock.playing")
    wide.click("#play")
    until(wide, "report.clock.seconds < 1")
    wide.click("#play")
    wide.select_option("#speed", "1")


def test_the_video_shows_the_step_of_the_clock(wide, report, motions, tmp_path) -> None:
    """Of all the video's frames, the one that is seen is nearest to the step's own."""
    encoded = re.search(r"data:video/mp4;base64,([^\"]+)", report.read_text()).group(1)
    (tmp_path / "video.mp4").write_bytes(base64.b64decode(encoded))
    frames = iio.imread(tmp_path / "video.mp4", plugin="pyav")
    assert len(frames) == len(motions[0])

    def seen() -> int:
        shot = picture(wide, "#video")
        size = shot.shape[1::-1]
        others = (np.asarray(Image.fromarray(frame).resize(size)) for frame in frames)
        return int(np.argmin([np.square(shot - other.astype(int)).mean() for other in others]))

    for step in (7, 35, 0, 20):
        seek(wide, motions[0].t_us[step] * 1e-6)
        end = time.monotonic() + 10
        while seen() != step:
            assert time.monotonic() < end, f"{seen()} is seen, not {step}"


def test_keys_step_and_figures_are_those_at_the_cursor(wide, motions) -> None:
    seek(wide, 0.5)
    wide.evaluate("document.activeElement.blur()")
    wide.keyboard.press("ArrowRight")
    assert wide.evaluate("report.clock.seconds") == pytest.approx(0.55)
    shown = float(wide.inner_text("[data-plot='0'] output"))
    assert shown == pytest.approx(motions[0].confidence[10], abs=0.006)
    assert wide.inner_text("#state") == "tracked"
    seek(wide, 0.1)
    assert wide.inner_text("#state") == "absent"
    wide.keyboard.press("Home")
    assert wide.evaluate("report.clock.seconds") == pytest.approx(0.05)


def test_a_click_into_a_plot_goes_there(wide) -> None:
    axes = wide.locator("[data-plot='2'] .axes > svg")
    axes.scroll_into_view_if_needed()
    box = axes.bounding_box()
    wide.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 30)
    assert wide.evaluate("report.clock.seconds") == pytest.approx((0.05 + 1.8) / 2, abs=0.01)


def test_the_view_turns_zooms_and_shows_or_hides_the_truth(wide) -> None:
    seek(wide, 0.9)
    wide.click("[data-view='start']")
    start = picture(wide, "#canvas")
    box = wide.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    wide.mouse.move(x, y)
    wide.mouse.down()
    wide.mouse.move(x + 120, y + 10, steps=3)
    wide.mouse.up()
    turned = picture(wide, "#canvas")
    wide.keyboard.press("+")
    nearer = picture(wide, "#canvas")
    wide.click("[data-view='start']")
    wide.uncheck("#truth")
    alone = picture(wide, "#canvas")
    wide.check("#truth")
    back = picture(wide, "#canvas")
    assert np.array_equal(start, back)
    for other in (turned, nearer, alone):
        assert (np.abs(other - start).sum(axis=2) > 60).mean() > 0.005
    assert yellow(start) > 200
    assert yellow(alone) == 0


def yellow(rgb: np.ndarray) -> int:
    """Pixels in the truth's colour."""
    return int(((rgb[..., 0] - rgb[..., 2] > 60) & (rgb[..., 0] > rgb[..., 1])).sum())


def test_nobody_is_drawn_where_nobody_is(wide) -> None:
    def green() -> int:
        rgb = picture(wide, "#canvas")
        return int(((rgb[..., 1] - rgb[..., 0] > 60) & (rgb[..., 1] - rgb[..., 2] > 20)).sum())

    wide.uncheck("#truth")
    seek(wide, 0.9)
    assert green() > 2000
    seek(wide, 0.15)  # the third of four absent steps
    assert green() == 0
    wide.check("#truth")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_layout_holds(driver, report, width) -> None:
    with opened(driver, report, width, WITH_WEBGL) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate(
            """() => [...document.querySelectorAll(
              'h1, h2, p, .warnings, .bar > *, video, canvas, figcaption, .axes, .sheet, table'
            )].filter(e => e.checkVisibility()).map(e => {
              const b = e.getBoundingClientRect();
              return [e.id || e.className || e.tagName, b.left, b.top, b.right, b.bottom];
            })"""
        )
        assert len(boxes) > 20
        for k, (name, left, top, right, bottom) in enumerate(boxes):
            assert left >= 0, name
            assert right <= width + 0.5, name
            for other, l2, t2, r2, b2 in boxes[k + 1 :]:
                apart = (
                    right <= l2 + 0.5 or r2 <= left + 0.5 or bottom <= t2 + 0.5 or b2 <= top + 0.5
                )
                inside = "warnings" in (name, other)  # which holds a paragraph or list
                assert apart or inside, f"{name} over {other}"
        assert_no_text_overlaps(page)


def assert_no_text_overlaps(page: Any) -> None:
    """Of ticks, names and legends within each plot, none covers another."""
    groups = page.evaluate(
        """() => [...document.querySelectorAll('.plot')].map(p =>
          [...p.querySelectorAll('.tick, .legend li, h3')].map(e => {
            const b = e.getBoundingClientRect();
            return [e.textContent, b.left, b.top, b.right, b.bottom];
          }))"""
    )
    for texts in groups:
        assert len(texts) > 3
        for k, (name, left, top, right, bottom) in enumerate(texts):
            for other, l2, t2, r2, b2 in texts[k + 1 :]:
                apart = right <= l2 or r2 <= left or bottom <= t2 + 3 or b2 <= top + 3
                assert apart, f"{name!r} over {other!r}"


@pytest.mark.parametrize("width", WIDTHS)
def test_without_webgl_the_rest_works_and_the_page_says_so(driver, report, width) -> None:
    with opened(driver, report, width, WITHOUT_WEBGL) as page:
        assert page.locator("#no-player").is_visible()
        assert not page.locator("#canvas").is_visible()
        assert "WebGL 2" in page.inner_text("#no-player")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("report.clock.seek(0.9)")
        until(page, "document.getElementById('video').currentTime > 0.8")
        assert picture(page, "#video").std() > 5
        assert page.locator(".plot").count() == 9
        assert page.inner_text("#state") == "tracked"
        page.click("#play")
        until(page, "report.clock.seconds > 1.2")
        until(page, "document.getElementById('video').currentTime > 1.1")


def test_without_the_videos_codec_the_rest_works_and_the_page_says_so(
    driver, report, tmp_path
) -> None:
    broken = tmp_path / "broken.html"
    text = report.read_text()
    broken.write_text(re.sub('data:video/mp4;base64,[^"]+', "data:video/mp4;base64,AAAA", text))
    with opened(driver, broken, WIDTHS[0], WITH_WEBGL) as page:
        assert page.locator("#no-video").is_visible()
        assert not page.locator("#video").is_visible()
        before = picture(page, "#canvas")
        page.click("#play")
        until(page, "report.clock.seconds > 0.8")
        assert (np.abs(picture(page, "#canvas") - before).sum(axis=2) > 60).mean() > 0.01
