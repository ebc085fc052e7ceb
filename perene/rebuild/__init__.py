"""What has no backup of its own, made anew from a store."""
