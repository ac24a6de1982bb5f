"""Settings: tuner_config.toml's schema, reading, writing, mistakes."""
