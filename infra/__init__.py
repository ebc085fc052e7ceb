"""The Pulumi program: typed configuration in, the components of one persistence tier out."""
