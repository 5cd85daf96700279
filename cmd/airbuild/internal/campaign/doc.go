// Package campaign tests that an incremental run gives what a clean build gives. It has
// tests only: random projects, random edits, and after each edit a comparison of airbuild
// run in the project as a user has it (a store with earlier results, a warm GOCACHE,
// outputs of earlier runs) with airbuild run on a fresh copy of the sources, with an empty
// store and a GOCACHE that holds nothing of the project.
//
//	go test ./cmd/airbuild/internal/campaign -run Campaign -campaign.minutes 30 -campaign.seed 7 -timeout 0
//
// A failure prints the edits, the difference, and the command that repeats it.
package campaign
