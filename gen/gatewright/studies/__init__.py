"""Kernels and their peers -> measured studies, one file per study and one per peer."""
