"""Where a study is kept: a SQLite file for one computer, PostgreSQL for many."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from organscope.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

POSTGRESQL = ("postgresql", "postgres")
DRIVER = "postgresql+psycopg"
LOCK = 0x6F7267616E
"""The letters of organ: a number that no other program asks for."""


@contextmanager
def opened_storage(url: str) -> Iterator["RDBStorage"]:
    """Open or make the tables of a storage; within the block no other computer does, where it is PostgreSQL.

    Args:
        url: `sqlite:///file.db` or `postgresql://user:password@host/database`.

    Raises:
        UsageError: The URL has no meaning, or the database does not answer.
        MissingExtraError: The driver of PostgreSQL is not installed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    address = _address(url)
    quieten()
    from optuna.storages import RDBStorage

    try:
        with _alone(address):
            # A connection that the server closed during a long trial is opened again.
            yield RDBStorage(address.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True})
    except (SQLAlchemyError, ImportError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise UsageError(f"The storage {address.render_as_string()} cannot be used: {reason[:300]}") from error


def _address(url: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"Expected a storage such as sqlite:///study.db or postgresql://user@host/database, found {url!r}."
        ) from error
    if address.drivername not in POSTGRESQL:
        return address
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError(
            "Expected the package 'psycopg' for a study in PostgreSQL, found none. "
            "Install the extra [postgresql] from the checkout: pip install '.[postgresql]'"
        )
    return address.set(drivername=DRIVER)


@contextmanager
def _alone(address: "URL") -> Iterator[None]:
    """Hold a lock that all computers ask for: two that make the same tables at once would both fail."""
    from sqlalchemy import create_engine

    if address.drivername != DRIVER:
        yield
        return
    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
            yield
    finally:
        # The lock goes with the connection.
        engine.dispose()


def quieten() -> None:
    """Optuna and its migrations say nothing: the sweep has its own line for every trial."""
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
