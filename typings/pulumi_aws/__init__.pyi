from pulumi_aws._inputs import ProviderAssumeRoleArgs as ProviderAssumeRoleArgs
from pulumi_aws.provider import Provider as Provider
