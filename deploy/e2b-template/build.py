"""Builds the template of sandboxes at E2B: ``make e2b-template``.

It is E2B's base image with the preview server, which runs before a sandbox is given to anybody. The local engine gets
the same one from ``services/sandbox/template.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from e2b import Template, default_build_logger, wait_for_url
from e2b.exceptions import AuthenticationException, BuildException, SandboxException
from e2b.template.main import TemplateFinal
from pydantic import ValidationError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from services.sandbox.model import ASIDE, PREVIEW_PORT, SITE  # noqa: E402 - found by the line above
from services.sandbox.preview.bundle import PreviewServer  # noqa: E402
from services.sandbox.settings import E2bSettings, PreviewSettings  # noqa: E402
from services.sandbox.template import HEALTH, NAME, preview_server  # noqa: E402

CPUS = 2
MEMORY_MB = 512
_USER = "user"


def definition(folder: Path, server: PreviewServer) -> TemplateFinal:
    """The template, with ``folder`` for the files that it takes along."""
    archive = Path(server.place).name
    (folder / archive).write_bytes(server.archive)
    return (
        Template(file_context_path=folder)
        .from_base_image()
        .set_user(_USER)
        .make_dir(ASIDE, user=_USER)
        .make_dir(SITE, user=_USER)
        .copy(archive, server.place, user=_USER, mode=0o644)
        .set_start_cmd(server.command, wait_for_url(f"http://localhost:{PREVIEW_PORT}{HEALTH}"))
    )


def name_of(settings: E2bSettings) -> str:
    """What the service asks for; where that is E2B's own, the name that is made for it."""
    return NAME if settings.e2b_template == "base" else settings.e2b_template


def build(settings: E2bSettings, server: PreviewServer) -> None:
    """Builds it at E2B and tells how it goes. Raises what the SDK does."""
    name = name_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        built = Template.build(
            definition(Path(folder), server),
            name,
            cpu_count=CPUS,
            memory_mb=MEMORY_MB,
            on_build_logs=default_build_logger(),
            api_key=settings.e2b_api_key.get_secret_value(),
            api_url=settings.e2b_api_url or None,
            domain=settings.e2b_domain or None,
        )
    print(f"built {built.name} ({built.template_id}). Set SANDBOX_E2B_TEMPLATE={name}")


def main() -> int:
    """Builds it by the environment and ``.env``; the exit code."""
    dotenv = os.environ.get("SANDWRIGHT_ENV_FILE", ROOT / ".env")
    try:
        settings = E2bSettings(_env_file=dotenv)
        server = preview_server(PreviewSettings(_env_file=dotenv))
    except ValidationError as exc:
        wrong = ", ".join(str(part) for problem in exc.errors() for part in problem["loc"])
        print(
            f"settings are missing or wrong: {wrong}. A template needs a key of E2B's.",
            file=sys.stderr,
        )
        return 2
    try:
        build(settings, server)
    except AuthenticationException:
        print("E2B refuses the key: check E2B_API_KEY", file=sys.stderr)
        return 1
    except (BuildException, SandboxException) as exc:
        print(f"the template was not built: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
