"""Three source roots, one package each; `package-dir` in pyproject.toml says where they are."""

from setuptools import find_packages, setup

setup(packages=[*find_packages("gateway"), *find_packages("servers"), "lockkeep_policies"])
