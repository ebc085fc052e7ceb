from pulumi_gcp.compute.global_address import GlobalAddress as GlobalAddress
