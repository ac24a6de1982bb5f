"""Every packaging of films as one `ImageSource`."""
