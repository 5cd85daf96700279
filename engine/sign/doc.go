// Package sign makes and checks ed25519 signatures: keys and detached
// signatures in the formats of minisign, DSSE envelopes, and the keyring that
// holds one's own keys and those that are trusted.
//
// Signing is deterministic: the same key, bytes and comment give the same
// signature, so nothing here reads the clock. Everything that is decoded is
// taken for hostile: sizes are bounded, and mistakes are errors.
//
// The formats are described in docs/formats.md.
package sign
