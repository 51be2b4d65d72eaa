"""The loop that the processes run on, for tests: closed while something is open on it, it ends and says what."""

from __future__ import annotations

import warnings

import uvloop


class OurLoop(uvloop.Loop):
    """uvloop warns of each handle that is still open, and then closes it.

    Where warnings are errors the warning comes in the place of the closing, and the loop waits for that handle for
    ever; it waits in C, so that no time-out of the tests is heard.
    """

    def close(self) -> None:
        """Close the loop and what is open on it; raises ``AssertionError`` that names what was."""
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always")
            super().close()
        if left:
            raise AssertionError("the loop was closed before: " + "; ".join(str(found.message) for found in left))
