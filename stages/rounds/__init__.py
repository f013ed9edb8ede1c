"""What one round of a loop did, read from the files and manifests in its folder, and whether it is healthy."""
