"""From the bytes of a request to a body that keeps every rule, or to the one error that names the rule."""

from typing import TypeVar

import orjson
from pydantic import ValidationError

from local.model import rules
from local.model.errors import InvalidRequest
from local.model.wire import CountBody, MessagesBody

Body = TypeVar("Body", bound=CountBody)


def messages_body(raw: bytes, version: str) -> MessagesBody:
    """The body of `POST /v1/messages`; raises InvalidRequest."""
    parsed = _shape(MessagesBody, raw)
    rules.check_sampling(parsed, version)
    rules.check(parsed)
    rules.check_output_limit(parsed)
    return parsed


def count_body(raw: bytes) -> CountBody:
    """The body of `POST /v1/messages/count_tokens`; raises InvalidRequest."""
    parsed = _shape(CountBody, raw)
    rules.check(parsed)
    return parsed


def _shape(shape: type[Body], raw: bytes) -> Body:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRequest("The request body must be a JSON object")
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        raise InvalidRequest(_first(error)) from error


def _first(error: ValidationError) -> str:
    """The first problem, as `messages.0.content: Field required`: the path, then what is wrong."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}"
