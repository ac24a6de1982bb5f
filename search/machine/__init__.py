"""What a run computes on: libraries' start and noise, the device, full disk and full memory."""
