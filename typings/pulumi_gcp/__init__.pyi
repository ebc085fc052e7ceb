from pulumi_gcp.provider import Provider as Provider
