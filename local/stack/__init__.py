"""Runs all of the platform on one machine: the embedded Postgres, the stand-ins, the services and the gateway."""
