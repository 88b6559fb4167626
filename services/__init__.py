"""The three gRPC services. They never import each other: what they share is ``protos`` and ``kit``."""
