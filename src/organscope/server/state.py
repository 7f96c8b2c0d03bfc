"""What all routes share, made once by the app."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from organscope.server.auth import user_of
from organscope.server.database import Database
from organscope.server.errors import overloaded
from organscope.server.review import DecisionService
from organscope.server.settings import Settings
from organscope.server.supervisor import Supervisor
from organscope.server.tiles import TileReader

#: Reports and archives that are made at the same time; each takes a core.
_MAX_MADE_AT_ONCE = 2


@dataclass
class State:
    """The parts of the server.

    Attributes:
        uploads: Uploads that are being received.
        making: Held while a report or an archive is made.
    """

    settings: Settings
    database: Database
    tiles: TileReader
    judge: DecisionService
    supervisor: Supervisor
    making: asyncio.Semaphore
    uploads: int = 0


def new_state(settings: Settings) -> State:
    """Everything for these settings; nothing is started yet."""
    database = Database(settings.database)
    (settings.store / "uploads").mkdir(exist_ok=True)
    return State(
        settings,
        database,
        TileReader(settings.limits.tile_cache_bytes),
        DecisionService(settings),
        Supervisor(settings, database),
        asyncio.Semaphore(_MAX_MADE_AT_ONCE),
    )


def state_of(request: Request) -> State:
    """The parts of the server that answers."""
    return request.app.state.parts


def require_memory(state: State) -> None:
    """Keep new work out while memory is short.

    Raises:
        RefusalError: 503, with a time to try again.
    """
    if state.supervisor.is_crowded:
        raise overloaded("Expected free memory, found that this server has used up what it may.")


User = Annotated[str, Depends(user_of)]
Parts = Annotated[State, Depends(state_of)]
