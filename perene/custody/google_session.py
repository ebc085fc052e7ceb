"""Requests to Google's APIs as whoever runs this: Application Default Credentials."""

from typing import Any

from perene.errors import PereneError
from perene.exit_codes import ExitCode


def session() -> Any:
    """A `requests` session that authenticates itself. PereneError (exit 3) without credentials."""
    # Read when it is needed: it takes longer than many a whole command.
    import google.auth  # noqa: PLC0415 - see above
    from google.auth.exceptions import DefaultCredentialsError  # noqa: PLC0415 - see above
    from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415 - see above

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except DefaultCredentialsError:
        raise PereneError(
            "no Google Cloud credentials", fix="run `gcloud auth application-default login`", exit_code=ExitCode.CANNOT_TELL
        ) from None
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]  # google-auth's own signature has no types
