"""What Hydra takes from nowhere but a package `hydra_plugins`; installed as its `resilience`."""
