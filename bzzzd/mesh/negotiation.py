"""Chooses a new stream's protocol in one round trip: multistream's greeting and the first wish in one write.

The library waits for the greeting's answer before it says what it wants. Whoever answers reads line by line, so
both may come together, and other implementations send them so.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio
from libp2p.abc import IMultiselectCommunicator
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.protocol_muxer.exceptions import (
    MultiselectClientError,
    MultiselectCommunicatorError,
    ProtocolNotSupportedError,
)
from libp2p.protocol_muxer.multiselect_client import (
    MULTISELECT_PROTOCOL_ID,
    PROTOCOL_NOT_FOUND_MSG,
    MultiselectClient,
)
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.utils.varint import encode_delim


class BrokenOff(MultiselectClientError):
    """The stream ended while its protocol was chosen, so nobody has said what the peer speaks."""


class OneBreathClient(MultiselectClient):
    """A client of multistream whose first wish does not wait for the greeting's answer."""

    async def select_one_of(
        self, protocols: Sequence[TProtocol], communicator: IMultiselectCommunicator, negotiate_timeout: int = 30
    ) -> TProtocol:
        """The first of ``protocols`` that the peer speaks.

        ``MultiselectClientError`` when there is none, ``BrokenOff`` when the peer did not say.
        """
        if not protocols or not isinstance(communicator, MultiselectCommunicator):
            return await super().select_one_of(protocols, communicator, negotiate_timeout)
        with trio.move_on_after(negotiate_timeout):
            try:
                if await self._first(communicator, protocols[0]):
                    return protocols[0]
            except (IOException, MultiselectCommunicatorError) as error:
                raise BrokenOff(f"the peer broke off while a protocol was chosen: {error}") from error
            for other in protocols[1:]:
                try:
                    return await self.try_select(communicator, other)
                except ProtocolNotSupportedError:
                    continue
            raise MultiselectClientError(f"the peer speaks none of {', '.join(protocols)}")
        raise BrokenOff(f"no protocol was chosen within {negotiate_timeout} s")

    @staticmethod
    async def _first(communicator: MultiselectCommunicator, wish: TProtocol) -> bool:
        both = encode_delim(MULTISELECT_PROTOCOL_ID.encode()) + encode_delim(wish.encode())
        await communicator.read_writer.write(both)
        greeting, answer = await communicator.read(), await communicator.read()
        if greeting != MULTISELECT_PROTOCOL_ID or answer not in (wish, PROTOCOL_NOT_FOUND_MSG):
            raise MultiselectClientError(f"the peer answered {greeting[:64]!r}, {answer[:64]!r} to the wish for {wish}")
        return answer == wish
