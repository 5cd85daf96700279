package store

import "crypto/rand"

// processID is the boot id where the machine gives none: random, so that
// seals hold within this process only.
func processID() (string, error) { return rand.Text(), nil }
