"""`python -m demo`: the story with a person at the inbox; with `--once`, or without a terminal, it needs nobody."""

import argparse
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio import CancelScope
from anyio.abc import Process

from demo.gateway_process import GatewayTrouble, Place, how_it_ended, serving, set_up
from demo.leads import shipped_leads
from demo.router import Stopped
from demo.screen import Screen
from demo.story import Story
from lockkeep_client import ClientError, GatewayClient

TROUBLE = (GatewayTrouble, ClientError, Stopped, OSError, ValueError)
FINE, SURPRISED, INTERRUPTED = 0, 1, 130


@dataclass
class Demo:
    """One run, and the exit code it has come to."""

    screen: Screen
    once: bool
    code: int = INTERRUPTED  # until the story is told

    async def run(self) -> None:
        """The story is told; or a signal, or the end of the gateway, ended it in order."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.hear_signals, tasks.cancel_scope)
            try:
                self.screen.say("A gateway in a new folder: lockkeep init, people add, serve, token create …")
                async with serving(await set_up()) as (place, process):
                    tasks.start_soon(self.watch, place, process, tasks.cancel_scope)
                    await self.play(place)
                    tasks.cancel_scope.cancel()  # before the gateway stops, or its end would be news
            except TROUBLE as trouble:
                self.fail(str(trouble))
            tasks.cancel_scope.cancel()

    async def play(self, place: Place) -> None:
        self.screen.say(f"It serves {place.url}/mcp and keeps its data in {place.folder}")
        try:
            async with GatewayClient(place.url, place.token("router")) as client:
                story = Story(place, client, self.screen, shipped_leads(), self.once)
                await story.tell()
        except TROUBLE as trouble:
            await anyio.sleep(1)  # if the gateway has ended, `watch` says so, and this ends here
            return self.fail(str(trouble))
        self.code = FINE
        for surprise in story.surprises:
            self.fail(surprise)
        self.screen.what_next(place.folder, place.url, serving=not self.once)
        if not self.once:
            await anyio.sleep_forever()

    async def hear_signals(self, scope: CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for _ in signals:
                scope.cancel()
                with suppress(OSError):  # the terminal itself may be gone
                    self.screen.say("\nStopping the gateway …")

    async def watch(self, place: Place, process: Process, scope: CancelScope) -> None:
        await process.wait()
        self.fail(how_it_ended(place, process))
        scope.cancel()

    def fail(self, sentence: str) -> None:
        self.code = SURPRISED
        print(f"demo: {sentence}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Plays the story of lockkeep here.")
    parser.add_argument(
        "--once", action="store_true", help="needs nobody: bo approves by command; then it ends"
    )
    once = parser.parse_args().once
    screen = Screen()
    if not once and not sys.stdin.isatty():
        screen.say("No terminal here, so this runs as with --once: nobody needs to approve anything.")
        once = True
    demo = Demo(screen, once)
    try:
        anyio.run(demo.run)
    except KeyboardInterrupt:  # before the gateway started, or a second Ctrl-C while it stopped
        return INTERRUPTED
    return demo.code


if __name__ == "__main__":
    sys.exit(main())
