"""Codecs, models, training and sampling of genes."""
