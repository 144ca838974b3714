"""Every limit on what comes from outside, with its reason. Pure."""

from typing import Final

from lockgate.clock import NS_PER_S

BUNDLE_BYTES_MAX: Final = 4 * 1024 * 1024  # a signed statement of the largest size, in base64, with its log entry
STATEMENT_BYTES_MAX: Final = 2 * 1024 * 1024  # provenance is kilobytes; a manifest of 10,000 files is 1.4 MB
STATEMENT_DEPTH_MAX: Final = 64  # SLSA provenance by known builders stays below twenty
SUBJECTS_MAX: Final = 16_384  # a release of many files; 10,000 subjects cost 46 ms
RESOURCES_MAX: Final = 16_384  # files of one model
NAME_CHARS_MAX: Final = 4_096  # PATH_MAX on Linux
BUNDLE_NODES_MAX: Final = 10_000  # a bundle with 32 timestamps and the longest inclusion path has about 300
STATEMENT_NODES_MAX: Final = 200_000  # 16,384 subjects with two digests each
PREDICATE_TYPE_CHARS_MAX: Final = 512  # a URI; what the policy input takes
IDENTITY_CHARS_MAX: Final = 1_024  # same; GitHub's workflow URIs are about 150
ISSUER_CHARS_MAX: Final = 512  # same
CERTIFICATES_MAX: Final = 8  # a leaf, a root and more intermediates than anyone has
TIMESTAMPS_MAX: Final = 32  # the number that sigstore-go and sigstore-python allow
TIMESTAMP_BYTES_MAX: Final = 64 * 1024  # a token with its chain is about 6 kB
CLAIM_BYTES_MAX: Final = 4_096  # Fulcio's longest are URLs
FUTURE_SKEW_NS: Final = 5 * 60 * NS_PER_S  # clocks of logs and authorities may be ahead of ours by this much

CACHE_ENTRIES_MAX: Final = 4_096  # some hundreds of promotions with ten pieces of evidence each
CACHE_BUNDLE_BYTES_MAX: Final = 32 * 1024 * 1024  # of bundles; parsed statements take several times as much
CACHE_TTL_NS: Final = 3_600 * NS_PER_S  # an hour: longer than one promotion takes, shorter than a key incident

DOMAINS_MAX: Final = 64  # one file each; a page of review
DOMAIN_FILE_BYTES_MAX: Final = 64 * 1024  # written by people
TRUST_FILE_BYTES_MAX: Final = 1024 * 1024  # the public-good trusted root is 7 kB
MANAGED_KEYS_MAX: Final = 32  # every one may be tried against a signature that names none
