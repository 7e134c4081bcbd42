"""Plugins that Hydra only finds in a package `hydra_plugins`; installed as its `resilience`."""
