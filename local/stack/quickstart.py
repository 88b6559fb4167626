"""What ``make run`` prints when everything answers. A test runs these very lines."""

from __future__ import annotations

from local.stack.settings import StackSettings


def quickstart(settings: StackSettings, seconds: float) -> str:
    """Addresses, which parts are stand-ins, and three lines to paste."""
    api = f"http://localhost:{settings.gateway_port}"
    sandboxes = (
        f"local engine on port {settings.local_sandboxes_port} (set E2B_API_KEY for E2B)"
        if settings.local_engine
        else "E2B"
    )
    model = (
        "local composer, no network, no cost (set ANTHROPIC_API_KEY for Claude)"
        if settings.local_model
        else "Anthropic or compatible"
    )
    lines = "\n".join(f"  {line}" for line in commands(api))
    return f"""
Sandwright is ready after {seconds:.1f} s.

  REST API    {api}          description: {api}/openapi.json
  gRPC        projects localhost:{settings.projects_port}, sandbox localhost:{settings.sandbox_port}, \
generation localhost:{settings.generation_port}
  sandboxes   {sandboxes}
  model       {model}
  data        {settings.data_dir}

Try it in another terminal:

{lines}

Ctrl-C stops everything.
"""


def commands(api: str) -> list[str]:
    """Register, make a project, generate: three lines of shell; the last one prints the preview's address."""
    field = "python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])'"
    bearer = '-H "Authorization: Bearer $TOKEN"'
    account = (
        '"{\\"email\\": \\"you-$(date +%s)@example.com\\", \\"password\\": \\"a long password\\"}"'
    )
    project = '\'{"name": "Bakery"}\''
    prompt = '"{\\"projectId\\": \\"$PROJECT\\", \\"prompt\\": \\"a landing page for a bakery in Lisbon\\"}"'
    register = f"TOKEN=$(curl -s {api}/api/auth/register --json {account} | {field} accessToken)"
    create = f"PROJECT=$(curl -s {api}/api/projects {bearer} --json {project} | {field} projectId)"
    return [register, create, f"curl -s {api}/api/generate {bearer} --json {prompt}"]
