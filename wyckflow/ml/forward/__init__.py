"""Networks that predict properties of whole crystals.

They read the composition, the gene, or cell and coordinates too: `crystals` is what all
of them read, `representation` what each makes of it, and `model` what trains and asks
them. `moves` and `crystals` describe a crystal in all of its equivalent ways.
"""
