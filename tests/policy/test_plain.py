"""The policy server's proxies become plain trees, also where a value is not known yet."""

from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy.declared import Declared
from policy.plain import UNKNOWN, plain
from policy.rules import violations


def test_proxies_become_dicts_and_lists_and_unknowns_a_word() -> None:
    tree = {"a": [{"b": UNKNOWN_STRING_VALUE, "c": 1}], "d": UNKNOWN_STRING_VALUE}
    assert plain(unknown_checking_proxy(tree)) == {"a": [{"b": UNKNOWN, "c": 1}], "d": UNKNOWN}


def test_an_unknown_value_does_not_end_a_rule_on_the_others() -> None:
    inputs = plain(unknown_checking_proxy({"name": UNKNOWN_STRING_VALUE, "publicAccessPrevention": "inherited"}))
    bucket = Declared(type="gcp:storage/bucket:Bucket", urn="urn:pulumi:prod::p::gcp:storage/bucket:Bucket::b", inputs=inputs, protect=True)
    assert any("public access prevention" in violation for violation in violations(bucket))
