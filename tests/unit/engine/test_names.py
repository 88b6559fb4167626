"""Who may reach an engine that takes any key."""

from __future__ import annotations

import pytest

from local.sandboxes.control.names import is_own


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:3000",
        "[::1]:3000",
        "::1",
        "10.0.0.7",
        "localhost:3000",
        "api.localhost",
        "sandboxes:3000",
        "",
        "boxes.example.com",
        "API.Boxes.Example.com:443",
        "boxes.example.com.",
    ],
)
def test_addresses_local_names_and_the_engines_domain_are_its_own(host: str) -> None:
    assert is_own(host, "boxes.example.com:3000")


@pytest.mark.parametrize(
    "host",
    ["evil.example:3000", "notboxes.example.com", "localhost.evil.example", "1.2.3.4.nip.io"],
)
def test_any_other_name_is_a_strangers(host: str) -> None:
    assert not is_own(host, "boxes.example.com:3000")
