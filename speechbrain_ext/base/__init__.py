"""What all rooms stand on: errors, files, options, emotions, random numbers."""
