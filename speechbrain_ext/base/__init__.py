"""What everything stands on: errors, files, options, emotions, random numbers."""
