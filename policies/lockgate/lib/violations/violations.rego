# METADATA
# title: Violations
# description: The one shape of a violation, and the one place that builds it.
package lockgate.lib.violations

# METADATA
# description: |
#   A violation of the rule whose package METADATA is in the chain. `chain` is `rego.metadata.chain()` of the caller,
#   so that text and identifier cannot drift apart; `values` is an object of strings, integers and booleans.
violation(chain, code, values) := {
	"rule_id": about.custom.rule_id,
	"code": code,
	"title": about.title,
	"severity": about.custom.severity,
	"remediation": about.custom.remediation,
	"details": [{"name": name, "value": value} | some name, value in values],
} if {
	some link in chain
	about := link.annotations
	about.custom.rule_id
}
