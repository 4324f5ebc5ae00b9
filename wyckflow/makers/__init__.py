"""Job makers: one class is one job is one document."""
