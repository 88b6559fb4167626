"""The control plane: create, find, list, extend and end sandboxes, over the vendor's REST routes."""
