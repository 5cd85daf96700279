// Package deploy puts versions of a program into a directory of this host and
// decides which of them serves. Remote hosts are reached by running it there.
//
// A root looks so:
//
//	releases/<version>-<digest12>/  an installed version, never changed again
//	current                         what serves: a link to a release or a slot
//	blue, green                     slots, with the blue_green strategy
//	.airbuild/lock                  held while something is done here
//	.airbuild/journal.json          the switch that is under way
//	.airbuild/state.json            whose root it is, which versions served
//	.airbuild/releases/<id>.json    what a release is, and how it is checked
//	.airbuild/audit.log             what was done, by whom; hash-chained
//	.airbuild/tmp/                  what is being installed
//
// Write order: a release is complete and synced below tmp, and its record is
// written, before it is renamed into releases. The
// journal is written before current changes, and removed after state.json says
// what came of it. Changing current is one rename. So a crash at any moment
// leaves the old or the new version serving, and whoever takes the lock next
// finds in the journal how far the switch went and ends it: Deploy, Rollback
// and Status all do. The hooks of a switch may for that reason run twice.
//
// The formats are described in docs/formats.md.
package deploy
