"""What the vendor's refusals become."""

from __future__ import annotations

import pytest

from kit.errors import Unavailable
from kit.testing import free_port
from services.sandbox.e2b_vendor import E2bAccess, E2bVendor
from tests.fixtures.engine import start_engine


async def test_a_vendor_that_does_not_answer_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    vendor = E2bVendor(E2bAccess("key-of-nobody", url, url, "", "base", 5))
    for use in (vendor.create({}, 60, "k"), vendor.connect("x"), vendor.list({})):
        with pytest.raises(Unavailable) as found:
            await use
        assert found.value.reason == "SANDBOX_VENDOR_DOWN"
        assert found.value.retry_after
    await vendor.close()


async def test_a_refused_key_is_unavailable_and_never_told(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = start_engine(tmp_path_factory.mktemp("engine"), api_key="right", pool_size=0)
    try:
        access = E2bAccess("wrong-secret", engine.url, engine.url, "", "base", 5)
        vendor = E2bVendor(access)
        with pytest.raises(Unavailable) as found:
            await vendor.create({}, 60, "k")
        assert found.value.reason == "SANDBOX_VENDOR_REFUSED"
        assert "wrong-secret" not in found.value.message + repr(access)
        said = capfd.readouterr()
        assert "E2B refuses the key" in said.out + said.err
        assert "wrong-secret" not in said.out + said.err
        await vendor.close()
    finally:
        engine.stop()
