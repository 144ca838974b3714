"""How people prove who they are: the OIDC client, for the web and for the command line.

Promises: a code counts only in the browser that asked for it, once, with the token that answers it (PKCE, state,
nonce); a token is believed as any other of its issuer's, by the same verifier and the same rules; secrets are in no
message. The calls to the provider are the only ones outward that a request waits for, and none of them is part of a
decision (docs/adr/0009-people-log-in.md). May be imported: everything in its files.

Source: OpenID Connect Core 1.0; RFC 6749, RFC 7636 (PKCE), RFC 8252 (native apps), RFC 8628 (devices), RFC 9207,
RFC 9700 (best practices).
"""
