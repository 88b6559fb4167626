"""The sample's descriptors, compiled by protoc once a process."""

from __future__ import annotations

import functools
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import google.api
from google.protobuf import message_factory
from grpc_tools import protoc

from gateway.transcoder import Contract, load_contract

ROOT = Path(__file__).resolve().parents[4]


def compile_protos(*sources: Path, root: Path = ROOT) -> bytes:
    """A FileDescriptorSet with imports and comments. Raises AssertionError with protoc's verdict."""
    google_include = Path(next(iter(google.api.__path__))).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        arguments = [
            "protoc",
            f"-I{root}",
            f"-I{ROOT}",
            f"-I{google_include}",
            f"-I{resources.files('grpc_tools') / '_proto'}",
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={out}",
            *(str(source.relative_to(root)) for source in sources),
        ]
        assert protoc.main(arguments) == 0, "protoc refused the test's proto"
        return out.read_bytes()


@functools.cache
def sample_descriptors() -> bytes:
    """The descriptor set of sample.proto."""
    return compile_protos(Path(__file__).parent / "sample.proto")


@functools.cache
def sample_contract() -> Contract:
    """Loaded; its pool is the one that the messages below belong to."""
    return load_contract(sample_descriptors())


def new(name: str, /, **fields: Any) -> Any:
    """A message of the sample's package."""
    descriptor = sample_contract().pool.FindMessageTypeByName(f"sample.v1.{name}")
    made: Any = message_factory.GetMessageClass(descriptor)
    return made(**fields)


def contract_of(text: str, folder: Path, name: str = "it.proto") -> Contract:
    """The contract of one proto file's text."""
    source = folder / name
    source.write_text(text)
    return load_contract(compile_protos(source, root=folder))
