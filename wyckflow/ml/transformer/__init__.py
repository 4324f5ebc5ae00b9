"""The transformer of genes: tokens written one after another, in any order."""
