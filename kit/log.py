"""Logs: one line an event, as JSON for machines or in colour for people."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import Processor

from kit.context import request_id


def configure(service: str, form: Literal["json", "console"], level: str) -> None:
    """Sends our own and the libraries' logs to standard error in one form. Called by a main, once."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_request_id,
    ]
    if form == "json":
        shared.append(_with_service(service))
        render: list[Processor] = [
            # Never the local variables, which hold passwords, prompts and files.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        colors = sys.stderr.isatty()
        render = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *render])
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their INFO repeats each request that ours already tells, with query strings.
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "alembic", "e2b"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _with_request_id(
    _: object, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if found := request_id.get():
        event["request_id"] = found
    return event


def _with_service(service: str) -> Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add
