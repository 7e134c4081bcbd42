"""The configuration files of the program, installed as `resilience.conf`."""
