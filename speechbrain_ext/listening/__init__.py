"""What is found in recordings and kept: speech, phones, transcripts."""
