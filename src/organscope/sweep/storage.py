"""Where a study is kept: a SQLite file for one computer, PostgreSQL for many."""

import importlib.util
import logging
import warnings
from typing import TYPE_CHECKING

from organscope.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

POSTGRESQL = ("postgresql", "postgres")
DRIVER = "postgresql+psycopg"


def open_storage(url: str) -> "RDBStorage":
    """Open or make the tables of a storage.

    Args:
        url: `sqlite:///file.db` or `postgresql://user:password@host/database`.

    Raises:
        UsageError: The URL has no meaning, or the database does not answer.
        MissingExtraError: The driver of PostgreSQL is not installed.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    quieten()
    from optuna.storages import RDBStorage

    try:
        address = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"Expected a storage such as sqlite:///study.db or postgresql://user@host/database, found {url!r}."
        ) from error
    if address.drivername in POSTGRESQL:
        if importlib.util.find_spec("psycopg") is None:
            raise MissingExtraError(
                "Expected the package 'psycopg' for a study in PostgreSQL, found none. "
                "Install the extra [postgresql] from the checkout: pip install '.[postgresql]'"
            )
        address = address.set(drivername=DRIVER)
    try:
        # A connection that the server closed during a long trial is opened again.
        return RDBStorage(address.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True})
    except (SQLAlchemyError, ImportError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise UsageError(f"The storage {address.render_as_string()} cannot be used: {reason[:300]}") from error


def quieten() -> None:
    """Optuna and its migrations say nothing: the sweep has its own line for every trial."""
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
