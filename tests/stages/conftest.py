"""A small finished study on disk for every test of this folder that asks for one."""

from small_study import small_study

__all__ = ["small_study"]
