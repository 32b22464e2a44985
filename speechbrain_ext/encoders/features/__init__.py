"""Features that are computed: spectra, prosody, eGeMAPS."""
