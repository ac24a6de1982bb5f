"""What a run runs on: libraries' start and noise, device, full disk and full memory."""
