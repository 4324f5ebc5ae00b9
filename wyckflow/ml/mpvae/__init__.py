"""The multi-property variational autoencoder of genes."""
