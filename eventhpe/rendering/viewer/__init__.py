"""The interactive viewer: a motion, its recording and another motion in a browser, by viser.

What is shown is worked out without viser (`player`, `poses`, `events`, `places`), put into the
scene by `scene`, and steered by `panel`; `viewer` ties them together.
"""

from eventhpe.rendering.viewer.viewer import Viewer

__all__ = ["Viewer"]
