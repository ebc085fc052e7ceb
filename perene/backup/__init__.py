"""Recovery sets: made, listed, kept, sealed."""
