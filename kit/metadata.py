"""Names of what travels beside our calls."""

REQUEST_ID = "x-request-id"
AUTHORIZATION = "authorization"
CONTENT_LENGTH = "x-content-length"
"""How many bytes an upload has, where that is known before it begins."""
