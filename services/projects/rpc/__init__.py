"""The service's RPCs, one file an RPC service: convert, call, convert."""
