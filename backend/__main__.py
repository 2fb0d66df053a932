"""`python -m backend`: serve the API."""

from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError

from backend.app import create_app
from backend.kit import logs
from backend.settings import Settings
from indexer.errors import SettingsError


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; DRAKEWELL_HOST, else loopback.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; DRAKEWELL_PORT, else 8000.")] = None,
) -> None:
    """Serve the API of one chain.

    Settings come from the environment: DATABASE_URL, DATABASE_READ_URL, DRAKEWELL_RPC_URL, DRAKEWELL_DEPLOYMENT,
    DRAKEWELL_PLAN_SECRET (the same in every process behind one address) and the other fields of `backend.settings`.
    """
    try:
        settings = Settings()  # type: ignore[call-arg]  # from the environment
        app = create_app(settings)
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SystemExit(f"backend: settings: {fields}") from error
    except SettingsError as error:
        raise SystemExit(f"backend: {error}") from error
    logs.install(settings.log_level)
    uvicorn.run(
        app, host=host or settings.host, port=settings.port if port is None else port, log_config=None, access_log=False
    )


if __name__ == "__main__":
    typer.run(serve)
