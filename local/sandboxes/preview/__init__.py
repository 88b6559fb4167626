"""The preview proxy: requests for a port of a sandbox, from a client's bytes to a server's and back."""
