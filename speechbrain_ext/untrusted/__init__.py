"""Models from anybody, as data: where their files are, what their YAML says,
which classes are constructed, and parameters that are looked at first."""
