"""Which packages there are: those that are found, and two whose folders have other names."""

from setuptools import find_packages, setup

ELSEWHERE = {"resilience.conf": "conf", "hydra_plugins.resilience": "resilience/hydra_plugins"}
FOUND = find_packages(include=["resilience", "resilience.*"], exclude=["resilience.hydra_plugins"])

setup(packages=[*FOUND, *ELSEWHERE], package_dir=ELSEWHERE)
