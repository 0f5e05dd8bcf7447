"""Models in PyTorch: parts, architectures, heads and adapters."""
