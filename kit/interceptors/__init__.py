"""What happens around every call that a server of ours answers, one idea a file."""

from kit.interceptors.pipeline import Pipeline

__all__ = ["Pipeline"]
