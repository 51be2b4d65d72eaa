"""What members send is judged where it is read: bytes that do not hold count against whoever sent them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bzzzd.errors import UNREADABLE, InvalidEnvelope, MalformedFrame
from bzzzd.mesh.conduct import Offence


def is_sender_s(error: BaseException) -> bool:
    """Whether an error says that bytes do not hold, whoever looks at them.

    What is only dated ahead (``data["at"]``) is a clock's fault, and may have been fine for whoever passed it on.
    """
    if isinstance(error, InvalidEnvelope):
        return "at" not in error.data
    return isinstance(error, MalformedFrame)


class Judging:
    """A mesh whose users can tell it that a member misbehaved."""

    def blame(self, peer_id: str, what: Offence = "invalid") -> None:
        """Count against a member that something it sent was found wrong; who goes on is cut off."""
        raise NotImplementedError

    @contextmanager
    def judging(self, peer_id: str) -> Iterator[None]:
        """Around the reading of what a member sent: bytes that do not hold count against it, and still raise.

        What cannot even be decoded is ``InvalidEnvelope`` then.

        Only for what the member itself must have checked. Not around ``request``: an error that it raises is the
        other side's word about this one. Requests that a handler calls invalid are counted without this.
        """
        try:
            yield
        except UNREADABLE as error:
            self.blame(peer_id)
            raise InvalidEnvelope(f"a member sent what cannot be read: {error}") from error
        except (InvalidEnvelope, MalformedFrame) as error:
            if is_sender_s(error):
                self.blame(peer_id)
            raise
