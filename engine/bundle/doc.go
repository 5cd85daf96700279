// Package bundle opens, verifies and compares bundles, which bring files across
// an air gap. Package create makes them, install imports them, custody logs who
// had them in hand. docs/formats.md gives the bytes, the write order and what an
// enemy can do.
//
// A bundle is an OCI image layout with one image manifest:
//
//	config   the root manifest (Root): canonical JSON; its digest is the
//	         identity of the bundle, and it is what signatures are over
//	layers   the envelope with the signatures, the custody log, the index,
//	         the packs, and files that are blobs of their own
//
// The root names every other blob by digest, so that whoever trusts it can
// trust all. The OCI manifest around it is not trusted: it is transport.
//
// A component is a list of files. Contents that occur in several files are
// stored once. They are cut into blocks, each hashed and compressed by itself,
// and blocks are put into packs of some hundred megabytes.
//
// A bundle lies in a directory, or in volumes: tar files with a part of the
// layout each, which unpack to the same directory.
package bundle
