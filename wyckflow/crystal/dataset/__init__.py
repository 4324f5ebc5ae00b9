"""Datasets: files of structures in, one file of genes and properties out.

`table` is the dataset itself, `importing` makes one of files (`source` opens them,
`column` maps their columns), `split` divides it, `describe` and `plot` show it.
"""

from wyckflow.crystal.dataset.table import Dataset, load_dataset

__all__ = ["Dataset", "load_dataset"]
