"""What a kernel's process writes past Jupyter."""

import asyncio
import fcntl
import os

from nbpipeline.stage.echo import Echo


def test_the_end_of_the_kernels_own_output_does_not_keep_the_loop_busy() -> None:
    """A forked kernel may hold no end of our pipe, so it is at its end from the start."""
    given, writer = os.pipe()

    async def hear() -> tuple[str, bool]:
        loop = asyncio.get_running_loop()
        echo = Echo(given)
        os.write(writer, b"from before, ")
        os.close(writer)
        os.write(echo.writer, b"\x1b[31mlast words\x1b[0m")
        echo.started()
        gone = loop.create_future()
        loop.call_later(5, gone.set_result, False)
        watched = loop._selector.get_map()  # type: ignore[attr-defined]
        while not gone.done() and any(one in watched for one in echo._readers):  # noqa: ASYNC110 - it is the loop that is tried
            await asyncio.sleep(0)
        words = echo.last_words()
        echo.close()
        return words, gone.done()

    words, busy = asyncio.run(hear())
    assert not busy, "it was still listened to"
    assert "from before, " in words
    assert "last words" in words


def test_a_kernel_without_a_pipe_of_its_own() -> None:
    async def hear() -> str:
        echo = Echo(None)
        os.write(echo.writer, b"why it died\n")
        echo.started()
        try:
            return echo.last_words()
        finally:
            echo.close()

    assert asyncio.run(hear()) == "why it died"


def test_a_kernel_that_writes_without_end_leaves_the_loop_its_turn() -> None:
    given, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)

    async def hear() -> list[int]:
        echo = Echo(given)
        os.write(writer, b"x" * (3 << 16))
        os.close(writer)
        turns = []
        for _ in range(2):
            echo._hear(given)
            turns.append(sum(map(len, echo._heard)))
        echo.started()
        echo.close()
        return turns

    assert asyncio.run(hear()) == [1 << 16, 2 << 16]
