"""Pieces of the loop over cells that need no kernel."""

import asyncio
import os
from collections import deque

from nbpipeline.stage.client import StageClient


def test_the_end_of_the_kernels_own_output_does_not_keep_the_loop_busy() -> None:
    """A fork server's kernel holds no end of our pipe, so it is at its end from the start."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    client = object.__new__(StageClient)
    client._echo = deque()

    async def hear() -> bool:
        loop = asyncio.get_running_loop()
        loop.add_reader(reader, client._hear, reader)
        os.write(writer, b"last words")
        os.close(writer)
        gone = loop.create_future()
        loop.call_later(5, gone.set_result, False)
        while loop._selector.get_map():  # type: ignore[attr-defined]
            await asyncio.sleep(0)
            if gone.done() or reader not in loop._selector.get_map():  # type: ignore[attr-defined]
                break
        return loop.remove_reader(reader)

    try:
        assert asyncio.run(hear()) is False, "it was still listened to"
    finally:
        os.close(reader)
    assert b"".join(client._echo) == b"last words"
