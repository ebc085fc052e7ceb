from pulumi_kubernetes.provider import Provider as Provider
