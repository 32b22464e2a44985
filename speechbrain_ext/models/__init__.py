"""Named inputs -> emotion: normalisation, mixture of layers, heads."""
