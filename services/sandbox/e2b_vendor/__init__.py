"""E2B through its official SDK, which nothing else in this service knows."""

from services.sandbox.e2b_vendor.access import E2bAccess
from services.sandbox.e2b_vendor.sandbox import E2bSandbox
from services.sandbox.e2b_vendor.vendor import E2bVendor

__all__ = ["E2bAccess", "E2bSandbox", "E2bVendor"]
